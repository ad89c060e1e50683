"""Runs the published Python client against a server: pages, bytes, a batch, a command, an unknown table, a wrong
password.

Arguments: host port user password ca-file bytes (as the server takes them as a parameter). Prints one JSON object.
"""
import json
import sys

from mapepire_python import DaemonServer
from mapepire_python.client.sql_job import SQLJob
from mapepire_python.data_types import QueryOptions

host, port, user, password, ca_file, data = sys.argv[1:7]
with open(ca_file, encoding="ascii") as file:
    ca = file.read()


def server(secret):
    return DaemonServer(host=host, port=int(port), user=user, password=secret, ignoreUnauthorized=False, ca=ca)


def connect(secret):
    """Connects, and once more when the opening handshake timed out.

    The client reads on one thread and writes its request on another, over one TLS object of Python, which may lose the
    request (rarely); such a try never reached the server's check of the password.
    """
    job = SQLJob()
    try:
        return job, job.connect(server(secret))
    except TimeoutError:
        job = SQLJob()
        return job, job.connect(server(secret))


result = {}
job, connected = connect(password)
result["job"] = connected["job"] if isinstance(connected, dict) else connected.job

query = job.query("select * from sample.employee")
pages, rows = [], []
page = query.run(rows_to_fetch=10)
while True:
    pages.append(len(page["data"]))
    rows += page["data"]
    if page["is_done"]:
        break
    page = query.fetch_more(rows_to_fetch=10)
result["pages"] = pages
result["first"] = rows[0]
query.close()

query = job.query("select count(*) as N from sample.employee where bonus > ?", QueryOptions(parameters=[500]))
result["bonus"] = query.run()["data"][0]["N"]

query = job.query("values (job_name)")
result["job_name"] = query.run()["data"][0]["00001"]

result["bytes"] = job.query("select x'C1C2' as B from sysibm.sysdummy1").run()["data"][0]["B"]
insert = job.query(
    "insert into sample.notes (id, text) values (?, ?)", QueryOptions(parameters=[[1, "a"], [2, "b"], [3, "c"]])
)
result["inserted"] = insert.run()["update_count"]
job.query("insert into sample.notes (id, data) values (?, ?)", QueryOptions(parameters=[4, data])).run()
result["written"] = job.query("select hex(data) as H from sample.notes where id = 4").run()["data"][0]["H"]
command = job.query("DSPLIBL", QueryOptions(isClCommand=True)).run()
result["command"] = {"success": command["success"], "columns": len(command["data"][1])}
failed = job.query("NOSUCH", QueryOptions(isClCommand=True)).run()
result["failed_command"] = failed["data"][2]["MESSAGE_ID"]

try:
    job.query("select * from nolib.notab").run()
    result["error"] = "none"
except Exception as error:
    result["error"] = str(error)
job.close()

try:
    connect("wrong")
    result["wrong_password"] = "accepted"
except Exception as error:
    result["wrong_password"] = str(error)
print(json.dumps(result, default=str))
