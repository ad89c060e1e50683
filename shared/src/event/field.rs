//! Numbers of the fields that code refers to by name. They are the first rows of `dictionary.csv`, in
//! this order; a test of the dictionary compares the two.

use super::FieldId;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $keyword:literal;)*) => {
        $($(#[$doc])* pub const $name: FieldId = FieldId($number);)*
        /// Keyword of each constant, for the test that compares them with the dictionary.
        pub const NAMED: &[(FieldId, &str)] = &[$(($name, $keyword)),*];
    };
}

fields! {
    /// Effective user profile of the entry.
    USER = 0, "user";
    /// Job name.
    JOB_NAME = 1, "job_name";
    /// Job user.
    JOB_USER = 2, "job_user";
    /// Job number.
    JOB_NUMBER = 3, "job_number";
    /// Program that caused the entry.
    PROGRAM_NAME = 4, "program";
    /// Its library.
    PROGRAM_LIBRARY = 5, "program_library";
    /// Address of the remote system, IPv4 or IPv6 text.
    REMOTE_ADDRESS = 6, "remote_address";
    /// Port of the remote system.
    REMOTE_PORT = 7, "remote_port";
    /// Name of the object concerned.
    OBJECT_NAME = 8, "object_name";
    /// Library of the object concerned.
    OBJECT_LIBRARY = 9, "object_library";
    /// Type of the object concerned, `*FILE`.
    OBJECT_TYPE = 10, "object_type";
    /// Path of an integrated file system object.
    PATH = 11, "path";
    /// Bytes that no trusted layout row covers, as upper-case hexadecimal digits.
    RAW = 12, "raw";
    /// Text for people.
    MESSAGE = 13, "message";
    /// First sequence number of a gap.
    GAP_FROM = 14, "gap_from";
    /// Last sequence number of a gap.
    GAP_TO = 15, "gap_to";
    /// Receiver concerned by a gap.
    RECEIVER = 16, "receiver";
    /// Number of entries lost in a gap, where known.
    GAP_COUNT = 17, "gap_count";
    /// Name of the destination, in heartbeats.
    DESTINATION = 18, "destination";
    /// Policy revision the agent runs.
    POLICY_REVISION = 19, "policy_revision";
    /// Events delivered to the destination since the agent started.
    DELIVERED = 20, "delivered";
    /// Events dropped by policy since the agent started.
    DROPPED = 21, "dropped";
    /// Why something happened.
    REASON = 22, "reason";
    /// Length in bytes of entry data that was proven blank and left unfetched.
    BLANK_TAIL = 23, "blank_tail";
    /// Remote system or device name where no address is known.
    DEVICE_NAME = 24, "device_name";
    /// User profile that an entry is about (changed, signed on, granted), other than the acting one.
    TARGET_USER = 25, "target_user";
    /// Command string, masked where it carries passwords.
    COMMAND = 26, "command";
    /// Lag of the source in milliseconds, in heartbeats.
    LAG_MS = 27, "lag_ms";
    /// Action in the controller's audit log.
    AUDIT_ACTION = 28, "audit_action";
    /// What an action at the controller was done to.
    AUDIT_OBJECT = 29, "audit_object";
    /// Controller whose audit log an entry is of.
    CONTROLLER = 30, "controller";
    /// Hash of an entry in the chain of the controller's audit log.
    AUDIT_HASH = 31, "audit_hash";
    /// Epoch of the lease under which the event was collected, where its source has a stand-by.
    LEASE_EPOCH = 32, "lease_epoch";
    /// Identifier of a message, `CPF1124`.
    MESSAGE_ID = 33, "message_id";
    /// Type of a message: INFORMATIONAL, INQUIRY, REPLY ….
    MESSAGE_TYPE = 34, "message_type";
    /// Message queue as LIBRARY/NAME.
    MESSAGE_QUEUE = 35, "message_queue";
    /// Key of a message in its queue, hexadecimal.
    MESSAGE_KEY = 36, "message_key";
    /// Data queue as LIBRARY/NAME.
    QUEUE = 37, "queue";
    /// Name of an exit point.
    EXIT_POINT = 38, "exit_point";
    /// Format of an exit point.
    EXIT_FORMAT = 39, "exit_format";
    /// What was asked of a server at an exit point.
    EXIT_FUNCTION = 40, "exit_function";
    /// `allowed`, `refused` or `unknown`.
    OUTCOME = 41, "outcome";
    /// Event id of events that a throttle held back.
    THROTTLED_EVENT = 42, "throttled_event";
    /// How many events a throttle held back.
    THROTTLED_COUNT = 43, "throttled_count";
    /// Width of the window of a throttle in seconds.
    THROTTLE_SECONDS = 44, "throttle_seconds";
    /// Rule of the policy that throttles.
    THROTTLE_RULE = 45, "throttle_rule";
    /// What events that are throttled together have in common.
    THROTTLE_KEY = 46, "throttle_key";
    /// What a text of an application is: `cef`, `leef`, `json` or `key_value`.
    APP_FORMAT = 47, "app_format";
    /// Vendor that the application names.
    APP_VENDOR = 48, "app_vendor";
    /// Product that the application names.
    APP_PRODUCT = 49, "app_product";
    /// Version that the application names.
    APP_VERSION = 50, "app_version";
    /// Event id of the application.
    APP_EVENT_ID = 51, "app_event_id";
    /// What happened, in the words of the application.
    APP_NAME = 52, "app_name";
    /// Severity as the application wrote it.
    APP_SEVERITY = 53, "app_severity";
    /// User that the application names; [`USER`] is the one that the system saw.
    APP_USER = 54, "app_user";
    /// Pair of the application as `key=value`, written under a key made of its own.
    APP_FIELD = 55, "app_field";
    /// Id of the API token by which an action at the controller was done.
    AUDIT_TOKEN = 56, "audit_token";
}
