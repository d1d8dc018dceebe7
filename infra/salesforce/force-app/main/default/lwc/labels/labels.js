/**
 * All words of the components, as custom labels, so that an org can translate them in the Translation Workbench. A `{0}` stands for a
 * value. A test compares the list with the metadata.
 */
import ASupervisor from '@salesforce/label/c.Sidedoor_A_Supervisor';
import AgentAmbiguous from '@salesforce/label/c.Sidedoor_Agent_Ambiguous';
import AgentNoVoiceCall from '@salesforce/label/c.Sidedoor_Agent_No_Voice_Call';
import AgentNone from '@salesforce/label/c.Sidedoor_Agent_None';
import AgentNotReadable from '@salesforce/label/c.Sidedoor_Agent_Not_Readable';
import BoardAgentUnknown from '@salesforce/label/c.Sidedoor_Board_Agent_Unknown';
import BoardAllChannels from '@salesforce/label/c.Sidedoor_Board_All_Channels';
import BoardAllQueues from '@salesforce/label/c.Sidedoor_Board_All_Queues';
import BoardAsOf from '@salesforce/label/c.Sidedoor_Board_As_Of';
import BoardChannel from '@salesforce/label/c.Sidedoor_Board_Channel';
import BoardChooseContact from '@salesforce/label/c.Sidedoor_Board_Choose_Contact';
import BoardContact from '@salesforce/label/c.Sidedoor_Board_Contact';
import BoardContactOf from '@salesforce/label/c.Sidedoor_Board_Contact_Of';
import BoardCount from '@salesforce/label/c.Sidedoor_Board_Count';
import BoardDepartureOf from '@salesforce/label/c.Sidedoor_Board_Departure_Of';
import BoardDepartures from '@salesforce/label/c.Sidedoor_Board_Departures';
import BoardEmpty from '@salesforce/label/c.Sidedoor_Board_Empty';
import BoardIncomplete from '@salesforce/label/c.Sidedoor_Board_Incomplete';
import BoardLoading from '@salesforce/label/c.Sidedoor_Board_Loading';
import BoardMine from '@salesforce/label/c.Sidedoor_Board_Mine';
import BoardMinutes from '@salesforce/label/c.Sidedoor_Board_Minutes';
import BoardMove from '@salesforce/label/c.Sidedoor_Board_Move';
import BoardMoving from '@salesforce/label/c.Sidedoor_Board_Moving';
import BoardNoContact from '@salesforce/label/c.Sidedoor_Board_No_Contact';
import BoardNotKnownYet from '@salesforce/label/c.Sidedoor_Board_Not_Known_Yet';
import BoardOnlyContacts from '@salesforce/label/c.Sidedoor_Board_Only_Contacts';
import BoardOther from '@salesforce/label/c.Sidedoor_Board_Other';
import BoardOwn from '@salesforce/label/c.Sidedoor_Board_Own';
import BoardOwnJoining from '@salesforce/label/c.Sidedoor_Board_Own_Joining';
import BoardOwnLeaving from '@salesforce/label/c.Sidedoor_Board_Own_Leaving';
import BoardOwnNone from '@salesforce/label/c.Sidedoor_Board_Own_None';
import BoardPresenceMissing from '@salesforce/label/c.Sidedoor_Board_Presence_Missing';
import BoardQueue from '@salesforce/label/c.Sidedoor_Board_Queue';
import BoardReason from '@salesforce/label/c.Sidedoor_Board_Reason';
import BoardSearch from '@salesforce/label/c.Sidedoor_Board_Search';
import BoardSearchHint from '@salesforce/label/c.Sidedoor_Board_Search_Hint';
import BoardSince from '@salesforce/label/c.Sidedoor_Board_Since';
import BoardStay from '@salesforce/label/c.Sidedoor_Board_Stay';
import BoardUnderAMinute from '@salesforce/label/c.Sidedoor_Board_Under_A_Minute';
import CallOver from '@salesforce/label/c.Sidedoor_Call_Over';
import CannotAct from '@salesforce/label/c.Sidedoor_Cannot_Act';
import CannotReceive from '@salesforce/label/c.Sidedoor_Cannot_Receive';
import CcpAccessDenied from '@salesforce/label/c.Sidedoor_Ccp_Access_Denied';
import CcpElsewhere from '@salesforce/label/c.Sidedoor_Ccp_Elsewhere';
import CcpForeignHost from '@salesforce/label/c.Sidedoor_Ccp_Foreign_Host';
import CcpInvalidAddress from '@salesforce/label/c.Sidedoor_Ccp_Invalid_Address';
import CcpNoAddress from '@salesforce/label/c.Sidedoor_Ccp_No_Address';
import CcpNoMicrophone from '@salesforce/label/c.Sidedoor_Ccp_No_Microphone';
import CcpNotLoaded from '@salesforce/label/c.Sidedoor_Ccp_Not_Loaded';
import CcpNotOpened from '@salesforce/label/c.Sidedoor_Ccp_Not_Opened';
import CcpNotSignedIn from '@salesforce/label/c.Sidedoor_Ccp_Not_Signed_In';
import CcpNotSignedInStorage from '@salesforce/label/c.Sidedoor_Ccp_Not_Signed_In_Storage';
import CcpOpenCti from '@salesforce/label/c.Sidedoor_Ccp_Open_Cti';
import CcpSection from '@salesforce/label/c.Sidedoor_Ccp_Section';
import CcpSignInFailed from '@salesforce/label/c.Sidedoor_Ccp_Sign_In_Failed';
import CcpStorageNeedsInstance from '@salesforce/label/c.Sidedoor_Ccp_Storage_Needs_Instance';
import ChannelChat from '@salesforce/label/c.Sidedoor_Channel_Chat';
import ChannelEmail from '@salesforce/label/c.Sidedoor_Channel_Email';
import ChannelTask from '@salesforce/label/c.Sidedoor_Channel_Task';
import ChannelVoice from '@salesforce/label/c.Sidedoor_Channel_Voice';
import ColumnMode from '@salesforce/label/c.Sidedoor_Column_Mode';
import ColumnState from '@salesforce/label/c.Sidedoor_Column_State';
import ColumnSupervisor from '@salesforce/label/c.Sidedoor_Column_Supervisor';
import ColumnWhen from '@salesforce/label/c.Sidedoor_Column_When';
import Disconnect from '@salesforce/label/c.Sidedoor_Disconnect';
import DisconnectFrom from '@salesforce/label/c.Sidedoor_Disconnect_From';
import DisconnectHelp from '@salesforce/label/c.Sidedoor_Disconnect_Help';
import GoesOn from '@salesforce/label/c.Sidedoor_Goes_On';
import InProgress from '@salesforce/label/c.Sidedoor_In_Progress';
import IsOver from '@salesforce/label/c.Sidedoor_Is_Over';
import LastUpdated from '@salesforce/label/c.Sidedoor_Last_Updated';
import LeaveInSoftphone from '@salesforce/label/c.Sidedoor_Leave_In_Softphone';
import LeaveOther from '@salesforce/label/c.Sidedoor_Leave_Other';
import LeavingAt from '@salesforce/label/c.Sidedoor_Leaving_At';
import LeavingLatest from '@salesforce/label/c.Sidedoor_Leaving_Latest';
import LeftElsewhere from '@salesforce/label/c.Sidedoor_Left_Elsewhere';
import LegNotEnded from '@salesforce/label/c.Sidedoor_Leg_Not_Ended';
import Listen from '@salesforce/label/c.Sidedoor_Listen';
import ListenTo from '@salesforce/label/c.Sidedoor_Listen_To';
import Loading from '@salesforce/label/c.Sidedoor_Loading';
import MaySpeak from '@salesforce/label/c.Sidedoor_May_Speak';
import ModeBarge from '@salesforce/label/c.Sidedoor_Mode_Barge';
import ModePending from '@salesforce/label/c.Sidedoor_Mode_Pending';
import ModeSilent from '@salesforce/label/c.Sidedoor_Mode_Silent';
import ModeTitle from '@salesforce/label/c.Sidedoor_Mode_Title';
import ModeWordBarge from '@salesforce/label/c.Sidedoor_Mode_Word_Barge';
import ModeWordSilent from '@salesforce/label/c.Sidedoor_Mode_Word_Silent';
import NeverConnected from '@salesforce/label/c.Sidedoor_Never_Connected';
import NoConnection from '@salesforce/label/c.Sidedoor_No_Connection';
import NoJoinEvidence from '@salesforce/label/c.Sidedoor_No_Join_Evidence';
import NoLeaveEvidence from '@salesforce/label/c.Sidedoor_No_Leave_Evidence';
import NoLeaveEvidenceDo from '@salesforce/label/c.Sidedoor_No_Leave_Evidence_Do';
import NoMode from '@salesforce/label/c.Sidedoor_No_Mode';
import NoSupervisor from '@salesforce/label/c.Sidedoor_No_Supervisor';
import NotAcceptedYet from '@salesforce/label/c.Sidedoor_Not_Accepted_Yet';
import NotSentYet from '@salesforce/label/c.Sidedoor_Not_Sent_Yet';
import NotSetUp from '@salesforce/label/c.Sidedoor_Not_Set_Up';
import NothingLoaded from '@salesforce/label/c.Sidedoor_Nothing_Loaded';
import NothingToWrite from '@salesforce/label/c.Sidedoor_Nothing_To_Write';
import NoticeEnded from '@salesforce/label/c.Sidedoor_Notice_Ended';
import NoticeListening from '@salesforce/label/c.Sidedoor_Notice_Listening';
import NoticeListeningNamed from '@salesforce/label/c.Sidedoor_Notice_Listening_Named';
import NoticeSpeaking from '@salesforce/label/c.Sidedoor_Notice_Speaking';
import NoticeSpeakingNamed from '@salesforce/label/c.Sidedoor_Notice_Speaking_Named';
import OfflineListen from '@salesforce/label/c.Sidedoor_Offline_Listen';
import OnAnotherCall from '@salesforce/label/c.Sidedoor_On_Another_Call';
import OnAnotherCallAlready from '@salesforce/label/c.Sidedoor_On_Another_Call_Already';
import OnAnotherCallNamed from '@salesforce/label/c.Sidedoor_On_Another_Call_Named';
import OnHold from '@salesforce/label/c.Sidedoor_On_Hold';
import PlusMinus from '@salesforce/label/c.Sidedoor_Plus_Minus';
import Progress from '@salesforce/label/c.Sidedoor_Progress';
import RecordDiscarded from '@salesforce/label/c.Sidedoor_Record_Discarded';
import RecordRejected from '@salesforce/label/c.Sidedoor_Record_Rejected';
import RecordUnreadable from '@salesforce/label/c.Sidedoor_Record_Unreadable';
import RiskCode from '@salesforce/label/c.Sidedoor_Risk_Code';
import RiskLeave from '@salesforce/label/c.Sidedoor_Risk_Leave';
import RiskOperator from '@salesforce/label/c.Sidedoor_Risk_Operator';
import RiskReason from '@salesforce/label/c.Sidedoor_Risk_Reason';
import RiskText from '@salesforce/label/c.Sidedoor_Risk_Text';
import RiskTitle from '@salesforce/label/c.Sidedoor_Risk_Title';
import StartInCommandCenter from '@salesforce/label/c.Sidedoor_Start_In_Command_Center';
import StartedElsewhere from '@salesforce/label/c.Sidedoor_Started_Elsewhere';
import StateFailed from '@salesforce/label/c.Sidedoor_State_Failed';
import StateJoining from '@salesforce/label/c.Sidedoor_State_Joining';
import StateLeaving from '@salesforce/label/c.Sidedoor_State_Leaving';
import StateLeft from '@salesforce/label/c.Sidedoor_State_Left';
import StateLineProvided from '@salesforce/label/c.Sidedoor_State_Line_Provided';
import StateOnCall from '@salesforce/label/c.Sidedoor_State_On_Call';
import StateOverdue from '@salesforce/label/c.Sidedoor_State_Overdue';
import StepAccepted from '@salesforce/label/c.Sidedoor_Step_Accepted';
import StepConfirmed from '@salesforce/label/c.Sidedoor_Step_Confirmed';
import StepDone from '@salesforce/label/c.Sidedoor_Step_Done';
import StepNone from '@salesforce/label/c.Sidedoor_Step_None';
import StepOverdue from '@salesforce/label/c.Sidedoor_Step_Overdue';
import StepProblem from '@salesforce/label/c.Sidedoor_Step_Problem';
import StepWaiting from '@salesforce/label/c.Sidedoor_Step_Waiting';
import StepWritten from '@salesforce/label/c.Sidedoor_Step_Written';
import SummaryFailed from '@salesforce/label/c.Sidedoor_Summary_Failed';
import SummaryFailedWhy from '@salesforce/label/c.Sidedoor_Summary_Failed_Why';
import SummaryJoining from '@salesforce/label/c.Sidedoor_Summary_Joining';
import SummaryLeaving from '@salesforce/label/c.Sidedoor_Summary_Leaving';
import SummaryLeft from '@salesforce/label/c.Sidedoor_Summary_Left';
import SummaryLine from '@salesforce/label/c.Sidedoor_Summary_Line';
import SummaryListening from '@salesforce/label/c.Sidedoor_Summary_Listening';
import SummaryNone from '@salesforce/label/c.Sidedoor_Summary_None';
import SummaryOverdue from '@salesforce/label/c.Sidedoor_Summary_Overdue';
import SummarySpeaking from '@salesforce/label/c.Sidedoor_Summary_Speaking';
import SupervisorsOnCall from '@salesforce/label/c.Sidedoor_Supervisors_On_Call';
import SwitchHere from '@salesforce/label/c.Sidedoor_Switch_Here';
import TitleBoard from '@salesforce/label/c.Sidedoor_Title_Board';
import TitleSupervision from '@salesforce/label/c.Sidedoor_Title_Supervision';
import TryAgainIn from '@salesforce/label/c.Sidedoor_Try_Again_In';
import Unanswered from '@salesforce/label/c.Sidedoor_Unanswered';
import UnknownAfter from '@salesforce/label/c.Sidedoor_Unknown_After';
import WhatDisconnect from '@salesforce/label/c.Sidedoor_What_Disconnect';
import WhatLeaveOther from '@salesforce/label/c.Sidedoor_What_Leave_Other';
import WhatListen from '@salesforce/label/c.Sidedoor_What_Listen';
import WhatMode from '@salesforce/label/c.Sidedoor_What_Mode';
import You from '@salesforce/label/c.Sidedoor_You';

export const labels = {
    ASupervisor,
    AgentAmbiguous,
    AgentNoVoiceCall,
    AgentNone,
    AgentNotReadable,
    BoardAgentUnknown,
    BoardAllChannels,
    BoardAllQueues,
    BoardAsOf,
    BoardChannel,
    BoardChooseContact,
    BoardContact,
    BoardContactOf,
    BoardCount,
    BoardDepartureOf,
    BoardDepartures,
    BoardEmpty,
    BoardIncomplete,
    BoardLoading,
    BoardMine,
    BoardMinutes,
    BoardMove,
    BoardMoving,
    BoardNoContact,
    BoardNotKnownYet,
    BoardOnlyContacts,
    BoardOther,
    BoardOwn,
    BoardOwnJoining,
    BoardOwnLeaving,
    BoardOwnNone,
    BoardPresenceMissing,
    BoardQueue,
    BoardReason,
    BoardSearch,
    BoardSearchHint,
    BoardSince,
    BoardStay,
    BoardUnderAMinute,
    CallOver,
    CannotAct,
    CannotReceive,
    CcpAccessDenied,
    CcpElsewhere,
    CcpForeignHost,
    CcpInvalidAddress,
    CcpNoAddress,
    CcpNoMicrophone,
    CcpNotLoaded,
    CcpNotOpened,
    CcpNotSignedIn,
    CcpNotSignedInStorage,
    CcpOpenCti,
    CcpSection,
    CcpSignInFailed,
    CcpStorageNeedsInstance,
    ChannelChat,
    ChannelEmail,
    ChannelTask,
    ChannelVoice,
    ColumnMode,
    ColumnState,
    ColumnSupervisor,
    ColumnWhen,
    Disconnect,
    DisconnectFrom,
    DisconnectHelp,
    GoesOn,
    InProgress,
    IsOver,
    LastUpdated,
    LeaveInSoftphone,
    LeaveOther,
    LeavingAt,
    LeavingLatest,
    LeftElsewhere,
    LegNotEnded,
    Listen,
    ListenTo,
    Loading,
    MaySpeak,
    ModeBarge,
    ModePending,
    ModeSilent,
    ModeTitle,
    ModeWordBarge,
    ModeWordSilent,
    NeverConnected,
    NoConnection,
    NoJoinEvidence,
    NoLeaveEvidence,
    NoLeaveEvidenceDo,
    NoMode,
    NoSupervisor,
    NotAcceptedYet,
    NotSentYet,
    NotSetUp,
    NothingLoaded,
    NothingToWrite,
    NoticeEnded,
    NoticeListening,
    NoticeListeningNamed,
    NoticeSpeaking,
    NoticeSpeakingNamed,
    OfflineListen,
    OnAnotherCall,
    OnAnotherCallAlready,
    OnAnotherCallNamed,
    OnHold,
    PlusMinus,
    Progress,
    RecordDiscarded,
    RecordRejected,
    RecordUnreadable,
    RiskCode,
    RiskLeave,
    RiskOperator,
    RiskReason,
    RiskText,
    RiskTitle,
    StartInCommandCenter,
    StartedElsewhere,
    StateFailed,
    StateJoining,
    StateLeaving,
    StateLeft,
    StateLineProvided,
    StateOnCall,
    StateOverdue,
    StepAccepted,
    StepConfirmed,
    StepDone,
    StepNone,
    StepOverdue,
    StepProblem,
    StepWaiting,
    StepWritten,
    SummaryFailed,
    SummaryFailedWhy,
    SummaryJoining,
    SummaryLeaving,
    SummaryLeft,
    SummaryLine,
    SummaryListening,
    SummaryNone,
    SummaryOverdue,
    SummarySpeaking,
    SupervisorsOnCall,
    SwitchHere,
    TitleBoard,
    TitleSupervision,
    TryAgainIn,
    Unanswered,
    UnknownAfter,
    WhatDisconnect,
    WhatLeaveOther,
    WhatListen,
    WhatMode,
    You
};

/** A label with its values in place of `{0}`, `{1}` and so on. */
export function fill(label, ...values) {
    return String(label).replace(/\{(\d+)\}/g, (_whole, index) => String(values[Number(index)] ?? ''));
}
