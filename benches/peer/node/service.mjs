// What a user would write instead of Sidedoor: Fastify, the AWS SDK, jsforce and SQLite, kept minimal.
//
// It stores what it accepts before it answers (synchronous = FULL), and takes up unfinished supervisions when it starts. A departure
// is written to Salesforce when the vendor's event or one DescribeContact after the acknowledgement shows it.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectClient, DescribeContactCommand, MonitorContactCommand } from '@aws-sdk/client-connect';
import Database from 'better-sqlite3';
import Fastify from 'fastify';
import jsforce from 'jsforce';

const { PORT, STORE, CONNECT_URL, SALESFORCE_URL, KEY, EVENTS_KEY } = process.env;
const InstanceId = '11111111-2222-4333-8444-555555555555';

const connect = new ConnectClient({
  endpoint: CONNECT_URL,
  region: 'us-west-2',
  credentials: { accessKeyId: 'fake-access-key', secretAccessKey: 'fake-secret-key' },
});

const db = new Database(STORE);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec(`CREATE TABLE IF NOT EXISTS supervisions (
  id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, user_id TEXT NOT NULL, state TEXT NOT NULL, leg_id TEXT UNIQUE,
  directive_id TEXT, joined_at TEXT, left_at TEXT) STRICT`);
const sql = {
  add: db.prepare("INSERT INTO supervisions (id, contact_id, user_id, state) VALUES (?, ?, ?, 'JOINING')"),
  joined: db.prepare("UPDATE supervisions SET state = 'MONITORING', leg_id = ?, joined_at = ? WHERE id = ?"),
  failed: db.prepare("UPDATE supervisions SET state = 'FAILED' WHERE id = ?"),
  leaving: db.prepare(`UPDATE supervisions SET state = CASE state WHEN 'MONITORING' THEN 'LEAVING' ELSE state END,
    directive_id = ? WHERE id = ? RETURNING leg_id`),
  acknowledged: db.prepare('UPDATE supervisions SET directive_id = NULL WHERE id = ? RETURNING leg_id'),
  left: db.prepare("UPDATE supervisions SET state = 'LEFT', left_at = ? WHERE leg_id = ? AND left_at IS NULL"),
  record: db.prepare('SELECT contact_id, joined_at, left_at FROM supervisions WHERE leg_id = ?'),
  written: db.prepare("UPDATE supervisions SET state = 'WRITTEN' WHERE leg_id = ?"),
  unfinished: db.prepare("SELECT * FROM supervisions WHERE state NOT IN ('WRITTEN', 'FAILED')"),
};

const salesforce = new jsforce.Connection({
  version: '68.0',
  loginUrl: SALESFORCE_URL,
  oauth2: { loginUrl: SALESFORCE_URL, clientId: 'fake-client-id', clientSecret: 'fake-client-secret' },
});
const logIn = () => salesforce.authorize({ grant_type: 'client_credentials' });
await logIn();

// Tries until the record is written.
async function writeRecord(leg) {
  const { contact_id, joined_at, left_at } = sql.record.get(leg);
  const record = {
    Leg_Key__c: leg,
    Contact_Id__c: contact_id,
    Mode__c: 'SILENT',
    Joined_At__c: joined_at,
    Disconnected_At__c: left_at,
    Disconnected_Epoch_Ms__c: Date.parse(left_at),
  };
  for (;;) {
    try {
      await salesforce.sobject('VoiceCallParticipant__c').upsert(record, 'Leg_Key__c');
      break;
    } catch (error) {
      console.error('upsert failed, retrying in 1 s:', error.message);
      await sleep(1000);
      if (error.errorCode === 'INVALID_SESSION_ID') await logIn().catch(() => {});
    }
  }
  sql.written.run(leg);
}

// Stores a departure, once. Whoever hears of it first, the event or DescribeContact, has it written.
function left(leg, at) {
  if (sql.left.run(at, leg).changes === 1) void writeRecord(leg);
}

async function describe(leg) {
  const { Contact } = await connect.send(new DescribeContactCommand({ InstanceId, ContactId: leg }));
  if (Contact.DisconnectTimestamp) left(leg, Contact.DisconnectTimestamp.toISOString());
}

async function join(id, contact, user) {
  const request = {
    InstanceId,
    ContactId: contact,
    UserId: user,
    AllowedMonitorCapabilities: ['SILENT_MONITOR'],
    ClientToken: id,
  };
  const { ContactId } = await connect.send(new MonitorContactCommand(request));
  sql.joined.run(ContactId, new Date().toISOString(), id);
  return ContactId;
}

// Takes up what an earlier process left unfinished.
async function recover() {
  for (const row of sql.unfinished.all()) {
    try {
      const leg = row.leg_id ?? (await join(row.id, row.contact_id, row.user_id));
      if (row.left_at) void writeRecord(leg);
      else await describe(leg);
    } catch (error) {
      console.error(`recovery of ${row.id} failed:`, error.message);
    }
  }
}

const app = Fastify();
const caller = async (request, reply) => {
  if (request.headers.authorization !== `Bearer ${KEY}`) return reply.code(401).send();
};
const eventSource = async (request, reply) => {
  if (request.headers['x-api-key'] !== EVENTS_KEY) return reply.code(401).send();
};
const text = { type: 'string' };
const object = (properties) => ({ type: 'object', required: Object.keys(properties), properties });
const startBody = object({ contactId: text, supervisor: object({ connectUserId: text }) });

app.post('/v1/supervisions', { preHandler: caller, schema: { body: startBody } }, async (request, reply) => {
  const { contactId, supervisor } = request.body;
  const id = randomUUID();
  sql.add.run(id, contactId, supervisor.connectUserId);
  try {
    const leg = await join(id, contactId, supervisor.connectUserId);
    return reply.code(201).send({ id, state: 'MONITORING', legContactId: leg });
  } catch (error) {
    sql.failed.run(id);
    return reply.code(502).send({ message: error.message });
  }
});

app.post('/v1/supervisions/:id/disconnect', { preHandler: caller }, async (request, reply) => {
  const directiveId = randomUUID();
  const row = sql.leaving.get(directiveId, request.params.id);
  if (!row) return reply.code(404).send();
  return { id: request.params.id, nextAction: { type: 'END_LEG_IN_CCP', directiveId, legContactId: row.leg_id } };
});

const acknowledgement = object({ directiveId: text, outcome: text });
app.post(
  '/v1/supervisions/:id/acknowledgements',
  { preHandler: caller, schema: { body: acknowledgement } },
  async (request, reply) => {
    const row = sql.acknowledged.get(request.params.id);
    if (!row) return reply.code(404).send();
    await describe(row.leg_id);
    return reply.code(204).send();
  },
);

app.post('/v1/events/connect', { preHandler: eventSource }, async (request, reply) => {
  const { eventType, contactId, disconnectTimestamp } = request.body.detail;
  if (eventType === 'DISCONNECTED' && disconnectTimestamp) left(contactId, disconnectTimestamp);
  return reply.code(204).send();
});

app.get('/readyz', async () => ({ ready: true }));

await recover();
await app.listen({ host: '127.0.0.1', port: Number(PORT) });
