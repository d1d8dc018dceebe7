/**
 * Sends a request to Amazon Connect with AWS Signature Version 4, for the simulated CCP. What the CCP shows comes from (fake) Connect,
 * which checks signatures, and not from the service under test.
 */
import { createHash, createHmac } from 'node:crypto';

const hash = (text) => createHash('sha256').update(text).digest('hex');
const mac = (key, text) => createHmac('sha256', key).update(text).digest();

export async function signed(url, body, { accessKey, secretKey, region }) {
    const { host, pathname } = new URL(url);
    const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const date = stamp.slice(0, 8);
    const text = JSON.stringify(body);
    const names = 'content-type;host;x-amz-date';
    const canonical = [
        'POST',
        pathname,
        '',
        `content-type:application/json\nhost:${host}\nx-amz-date:${stamp}\n`,
        names,
        hash(text)
    ].join('\n');
    const scope = `${date}/${region}/connect/aws4_request`;
    const toSign = ['AWS4-HMAC-SHA256', stamp, scope, hash(canonical)].join('\n');
    const key = [region, 'connect', 'aws4_request'].reduce(mac, mac(`AWS4${secretKey}`, date));
    const signature = createHmac('sha256', key).update(toSign).digest('hex');
    const authorization = `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
    const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-amz-date': stamp, authorization },
        body: text
    });
    if (!answer.ok) {
        throw new Error(`Connect answered ${answer.status}: ${await answer.text()}`);
    }
    return answer.json();
}
