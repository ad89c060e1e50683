// Elastic's OpAMP client for Node.js as a foreign agent: URL, CA file, token file. It makes a new uid at each start
// and takes over the one that the server gives it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Installed elsewhere: the folder is named by the environment.
const require = createRequire(join(process.env.MUSTER_FOREIGN_OPAMP_NODE, 'x.js'));
const opamp = await import(pathToFileURL(require.resolve('@elastic/opamp-client-node')).href);
const { createOpAMPClient, AgentCapabilities, RemoteConfigStatuses } = opamp.default ?? opamp;

const [url, ca, token] = process.argv.slice(2);
const tell = (what) => console.log(JSON.stringify(what));

const client = createOpAMPClient({
    endpoint: url,
    headers: { Authorization: `Bearer ${readFileSync(token, 'utf8').trim()}` },
    connect: { ca: readFileSync(ca, 'utf8') },
    heartbeatIntervalSeconds: 1,
    capabilities:
        AgentCapabilities.AgentCapabilities_AcceptsRemoteConfig |
        AgentCapabilities.AgentCapabilities_ReportsRemoteConfig,
    onMessage: ({ remoteConfig }) => {
        if (!remoteConfig) return;
        const files = Object.entries(remoteConfig.config.configMap);
        const text = (file) => Buffer.from(file.body).toString('utf8');
        const config = Object.fromEntries(files.map(([name, file]) => [name, text(file)]));
        tell({ config });
        const bad = Object.values(config).some((body) => body.includes('refuse me'));
        const { RemoteConfigStatuses_APPLIED, RemoteConfigStatuses_FAILED } = RemoteConfigStatuses;
        client.setRemoteConfigStatus({
            status: bad ? RemoteConfigStatuses_FAILED : RemoteConfigStatuses_APPLIED,
            lastRemoteConfigHash: remoteConfig.configHash,
            errorMessage: bad ? 'line 1: refused' : '',
        });
    },
});
client.setAgentDescription({
    identifyingAttributes: { 'service.name': 'node-foreign' },
    nonIdentifyingAttributes: { 'host.name': 'nodehost' },
});
client.start();
// Until whoever started this closes its end.
process.stdin.resume();
process.stdin.on('end', async () => {
    await client.shutdown();
    process.exit(0);
});
