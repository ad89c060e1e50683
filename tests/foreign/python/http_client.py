"""The OpenTelemetry OpAMP client for Python as a foreign agent: URL, CA file, token file, file for its uid."""

import json
import pathlib
import sys
import uuid

from opentelemetry._opamp.agent import OpAMPAgent
from opentelemetry._opamp.callbacks import OpAMPCallbacks
from opentelemetry._opamp.client import OpAMPClient
from opentelemetry._opamp.proto import opamp_pb2

url, ca, token, uid_file = sys.argv[1:5]


def tell(**what):
    print(json.dumps(what), flush=True)


class Callbacks(OpAMPCallbacks):
    def on_error(self, agent, client, error_response):
        tell(error=error_response.error_message)

    def on_connect_failed(self, agent, client, error):
        tell(failed=str(error))

    def on_message(self, agent, client, message):
        if message.remote_config is None:
            return
        config = dict(client.decode_remote_config(message.remote_config))
        tell(config=config)
        # What it runs comes first, so that whoever sees APPLIED sees it too.
        client.update_effective_config(config, "application/json")
        client.update_remote_config_status(
            message.remote_config.config_hash, opamp_pb2.RemoteConfigStatuses_APPLIED
        )
        agent.send(client.build_full_state_message())


client = OpAMPClient(
    endpoint=url,
    headers={"Authorization": "Bearer " + pathlib.Path(token).read_text().strip()},
    tls_certificate=ca,
    timeout_millis=20_000,
    agent_identifying_attributes={"service.name": "python-foreign", "service.version": "9.9"},
    agent_non_identifying_attributes={"host.name": "pythonhost", "process.pid": 42},
)
# The client makes a uid at each start; whoever uses it keeps it.
kept = pathlib.Path(uid_file)
if kept.exists():
    client._instance_uid = uuid.UUID(kept.read_text().strip()).bytes
else:
    kept.write_text(str(uuid.UUID(bytes=client._instance_uid)))
agent = OpAMPAgent(interval=1, callbacks=Callbacks(), client=client)
agent.start()
tell(uid=kept.read_text().strip())
# Until whoever started this closes its end.
sys.stdin.read()
agent.stop()
