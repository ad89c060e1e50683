/** What a new policy may begin with. `NAME` stands for its name. */
export const templates = {
  syslog: {
    title: "Quick start: everything to a syslog receiver",
    text: `# All of the audit journal of every partition, to one syslog receiver.
api_version: muster/v1
name: NAME
description: All audit events to one syslog receiver
# Labels that a partition must have; {} selects every partition.
selector: {}
priority: 0
spec:
  sources:
    audit:
      kind: audit_journal
      start: now
  destinations:
    siem:
      transport: {kind: tcp, address: "siem.example.com:514", framing: newline}
      format: {kind: syslog, header: rfc5424}
`,
  },
  cef: {
    title: "Quick start: grave events as CEF over TLS",
    text: `# Events of severity 4 and above as CEF, for ArcSight, Microsoft Sentinel and others.
api_version: muster/v1
name: NAME
description: Severity 4 and above as CEF over TLS
selector: {}
priority: 0
spec:
  sources:
    audit: {kind: audit_journal}
  routes:
    grave:
      match: {min_severity: 4}
      destinations: [siem]
  destinations:
    siem:
      transport: {kind: tls, address: "siem.example.com:6514"}
      format: {kind: cef, utc: true}
`,
  },
  leef: {
    title: "Quick start: everything as LEEF 2.0 to IBM QRadar",
    text: `# All of the audit journal as LEEF 2.0, as IBM QRadar reads it.
api_version: muster/v1
name: NAME
description: All audit events to QRadar as LEEF 2.0 over TLS
selector: {}
priority: 0
spec:
  sources:
    audit: {kind: audit_journal}
  destinations:
    qradar:
      transport: {kind: tls, address: "qradar.example.com:6514", framing: newline}
      format: {kind: leef2, leef_delimiter: "^"}
      heartbeat_seconds: 300
`,
  },
  drop: {
    title: "A filter: drop noise, keep what matters",
    text: `# Laid over other policies, which bring sources and destinations.
api_version: muster/v1
name: NAME
description: Drops what nobody looks at
# Only partitions with this label.
selector: {env: prod}
# Above the policies that it is laid over.
priority: 10
spec:
  # The first rule that matches decides; what no rule matches is kept. Every rule counts what it drops.
  rules:
    - name: keep-payroll
      match: {objects: ["PAYROLL/*ALL"]}
      action: keep
    - name: drop-reads
      match: {entry_types: [ZR]}
      action: drop
    - name: storms
      match: {events: ["AF_*"]}
      action: throttle
      limit: 10
      seconds: 60
`,
  },
  sources: {
    title: "All sources: journal, history log, operator messages",
    text: `# Everything that a partition tells by itself. Queues and exit points need an entry in the agent's own limits.
api_version: muster/v1
name: NAME
description: Audit journal, history log and operator messages
selector: {}
priority: 0
spec:
  sources:
    audit: {kind: audit_journal}
    history: {kind: history_log}
    operator: {kind: message_queue, queue: QSYS/QSYSOPR}
    # exits: {kind: exit_point, queue: MUSTER/EXITQ}
    # payroll: {kind: data_queue, queue: PAYROLL/EVENTS}
  destinations:
    siem:
      transport: {kind: tcp, address: "siem.example.com:514", framing: newline}
      format: {kind: syslog, header: rfc5424}
`,
  },
  empty: {
    title: "Nothing: only the frame",
    text: `api_version: muster/v1
name: NAME
description: ""
selector: {}
priority: 0
spec: {}
`,
  },
};
