// jsforce logs in with client credentials, reads one participant record by query, by id and by describe, and prints it as JSON.
// Usage: node read_back.mjs <login URL> <contact id> <leg key>
import jsforce from 'jsforce';

const [loginUrl, contactId, legKey] = process.argv.slice(2);
const OBJECT = 'VoiceCallParticipant__c';

const connection = new jsforce.Connection({
  version: '68.0',
  loginUrl,
  oauth2: { loginUrl, clientId: 'fake-client-id', clientSecret: 'fake-client-secret' },
});
await connection.authorize({ grant_type: 'client_credentials' });

const found = await connection.query(
  `SELECT Id, Leg_Key__c, Disconnected_At__c, Disconnected_Epoch_Ms__c, Disconnect_Uncertainty_Ms__c, Rejoin__c
   FROM ${OBJECT} WHERE Contact_Id__c = '${contactId}'`.replace(/\s+/g, ' '),
);
const row = await connection.sobject(OBJECT).retrieve(found.records[0].Id);
const described = await connection.sobject(OBJECT).describe();
// The same upsert as the service makes, but by an independent client. It updates, because the record exists.
const [again] = await connection.sobject(OBJECT).upsert([{ Leg_Key__c: legKey, Mode__c: row.Mode__c }], 'Leg_Key__c');
// An older version is refused, as by the validation rule that the shipped object has.
const older = { Leg_Key__c: legKey, Row_Version__c: row.Row_Version__c - 1 };
const [refused] = await connection.sobject(OBJECT).upsert([older], 'Leg_Key__c');

console.log(
  JSON.stringify({
    total: found.totalSize,
    row,
    externalId: described.fields.find((field) => field.externalId).name,
    again,
    refused,
    // jsforce parses the limit header itself, which has further figures after a semicolon.
    usage: connection.limitInfo.apiUsage,
  }),
);
