//! The retired words: names and phrases that no file of the repository may use any more, with the word to use
//! instead.
//!
//! The words that remain are explained in docs/glossary.md. A retired word that is also plain English is
//! listed only as the identifier or the phrase that it was.

use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Files that may contain retired words.
const EXEMPT: &[&str] = &["CHANGELOG.md", "tests/tests/api/glossary.rs"];

/// A retired word, and the one to use instead.
///
/// `word` is a whole identifier; `word*` the beginning of one; `*word*` any part of one. Several words are a
/// phrase, also across a line break in a comment. Anything with another character is searched as it is, but
/// must not be part of a longer identifier.
const RETIRED: &[(&str, &str)] = &[
    // -- the public interface
    ("*unique_key*", "idempotency_key"),
    ("*UNIQUE_KEY*", "IDEMPOTENCY_KEY_BYTES_MAX"),
    ("unique key", "idempotency key"),
    ("is_cancelled", "should_stop"),
    ("StopReason::Stopping", "StopReason::WorkerStopping"),
    ("StoreStopped", "StoreHalted"),
    ("grace", "shutdown_timeout, shutdown timeout"),
    ("only::<", "task::<"),
    ("allow_remote_disk", "allow_network_filesystem"),
    ("options.reserve", "disk_reserve"),
    ("poke*", "notify"),
    ("EnqueueStatement", "SqlStatement"),
    ("EnqueuedAll", "EnqueueAllFuture"),
    ("Event::Started", "Event::WorkerStarted"),
    ("Event::Stopped", "Event::WorkerStopped"),
    ("Event::Trouble", "Event::StoreError"),
    ("Event::Refused", "Event::ResultDiscarded"),
    ("ErrorKind::Full", "ErrorKind::StorageFull"),
    ("ErrorKind::Locked", "ErrorKind::Busy"),
    ("ErrorKind::Stopped", "ErrorKind::StoreHalted"),
    ("ErrorKind::Setup", "ErrorKind::Config"),
    ("ErrorKind::Decode", "ErrorKind::ResultType"),
    ("HealthState::Full", "HealthState::StorageFull"),
    ("HealthState::Stopped", "HealthState::Halted"),
    ("Clock::held", "Clock::manual"),
    ("is_held", "is_manual"),
    ("held clock", "manual clock"),
    ("Due::", "RunAt"),
    ("Budget", "RetryBudget"),
    ("retry::verdict", "Verdict::of"),
    ("WorkerCard", "WorkerInfo"),
    ("TaskCard", "TaskDefaults"),
    ("is_suspect", "is_suspected"),
    ("qdjobs_suspects", "qdjobs_suspected"),
    ("suspect", "suspected job"),
    ("suspects", "suspected jobs"),
    // -- the verbs of a store
    ("Turned", "ClaimResponse"),
    ("Want {", "ClaimRequest"),
    ("store.turn(", "claim"),
    ("fn turn(", "claim"),
    ("standing turn", "waiting claim"),
    ("standing turns", "waiting claims"),
    ("standing claim", "waiting claim"),
    ("turn that stands", "waiting claim"),
    ("turns that stand", "waiting claims"),
    ("recall", "cancel_waiting_claims"),
    ("recalled", "cancel_waiting_claims"),
    ("enlist*", "register_worker"),
    ("Enlist*", "RegisterWorker"),
    ("store.leave(", "release_worker"),
    ("deregister_worker", "release_worker"),
    ("beat", "heartbeat"),
    ("beats", "heartbeats"),
    ("rescue_silent", "release_worker"),
    ("ProgressNote", "ProgressSlot"),
    ("store.inspect(", "get, list, counts, attempts, workers"),
    ("Query::List", "list"),
    ("Answer::Job", "get"),
    ("store.control(", "command"),
    ("Control::", "JobCommand"),
    ("store.ended(", "wait_for"),
    // -- inside
    ("Desk", "WriterHandle"),
    ("desk", "writer/thread"),
    ("Inbox", "RequestQueue"),
    ("inbox", "request queue"),
    ("Nap", "Sleep"),
    ("stir", "wake"),
    ("Doubt", "Unconfirmed"),
    ("in doubt", "unconfirmed"),
    ("Courtesy", "Fairness"),
    ("courtesy", "fairness"),
    ("Doors", "WakeSockets"),
    ("doors", "wake sockets"),
    ("door", "wake socket; interface"),
    ("Lookout", "ChangePoll"),
    ("lookout", "wakeup/poll"),
    ("Lives", "WorkerLocks"),
    ("Reserve", "DiskReserve"),
    ("Home", "ForkGuard"),
    ("Onlooker", "SnapshotReader"),
    ("onlooker", "snapshot reader"),
    ("Lane", "Dispatcher"),
    ("lane", "dispatcher"),
    ("lanes", "dispatchers"),
    ("Crew", "Pool"),
    ("crew", "pool"),
    ("hire", "spawn_thread"),
    ("Steward", "Supervisor"),
    ("steward", "supervisor"),
    ("Flight", "InFlight"),
    ("Leg", "Sent"),
    ("Ear", "Listener"),
    ("Ears", "Listeners"),
    ("LentQueue", "WeakQueue"),
    ("lent", "weak"),
    ("Blame", "Attribution"),
    ("blame", "attribute a crash"),
    ("blames", "attributes a crash"),
    ("blamed", "a crash is counted for it"),
    ("chance::", "rng"),
    ("suggest::nearest", "suggest"),
    ("HeartbeatObserver", "HeartbeatMonitor"),
    ("Books", "State"),
    ("books", "stored state"),
    ("Bell", "WakeTarget"),
    ("bell", "wake-up"),
    ("doorbell*", "wake-up"),
    ("sqlite::verbs", "queries"),
    // -- prose
    ("taken for dead", "is presumed dead, its lease expired"),
    ("take for dead", "presume dead"),
    ("takes for dead", "presumes dead"),
    ("proof of life", "worker lock"),
    ("sign of life", "worker lock"),
    ("liveness file", "worker lock file"),
    ("public door", "public interface"),
    ("leans on", "depends on"),
    ("Leans on", "Depends on"),
    // -- tests
    ("Sabotage*", "Mutant"),
    ("sabotage*", "mutant"),
    ("teeth", "mutation"),
    ("tortur*", "chaos"),
    ("Tortur*", "Chaos"),
    ("hostile", "untrusted, fuzz"),
    ("victim*", "worker_process"),
    ("dice", "rng"),
    ("Dice", "Rng"),
    ("luck", "rng, seed"),
    ("rot", "corruption"),
    ("rots", "becomes corrupt"),
    ("herd", "process_group"),
    ("Herd", "ProcessGroup"),
    ("tests/it", "tests/tests/api"),
    ("tests/disk", "tests/tests/disk_faults"),
    ("test processes", "test process"),
    ("interleavings", "shuttle"),
];

/// The tracked text files, with their contents.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(ROOT).output().expect("git");
    assert!(listed.status.success(), "git: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let is_read = |name: &&str| !name.is_empty() && !name.ends_with(".lock") && !EXEMPT.contains(name);
    let read =
        |name: &str| Some((name.to_owned(), std::fs::read_to_string(Path::new(ROOT).join(name)).ok()?));
    let files: Vec<_> = names.split('\0').filter(is_read).filter_map(read).collect();
    assert!(files.len() > 400, "{} files", files.len());
    files
}

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The lines of `text` on which a retired word begins.
fn lines(text: &str, retired: &str) -> Vec<usize> {
    let words: Vec<&str> = retired.split(' ').collect();
    let is_phrase = words.iter().all(|word| word.chars().all(|letter| is_part(letter) || letter == '*'));
    let first = words[0].trim_matches('*');
    let start = if is_phrase { first } else { retired };
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    let found = text.match_indices(start).filter(|(at, _)| {
        let before = text[..*at].chars().next_back().is_some_and(is_part) && !retired.starts_with('*');
        let mut rest = &text[at + start.len()..];
        let open = retired.ends_with('*') || !start.ends_with(is_part);
        if before || (rest.starts_with(is_part) && !(open && words.len() == 1)) {
            return false;
        }
        let following = if is_phrase { &words[1..] } else { &[] };
        following.iter().all(|word| {
            let between =
                rest.trim_start_matches(|letter: char| letter.is_whitespace() || "/!#*".contains(letter));
            let follows = between.strip_prefix(word).filter(|rest| !rest.starts_with(is_part));
            let has_gap = between.len() < rest.len();
            follows.filter(|_| has_gap).inspect(|after| rest = after).is_some()
        })
    });
    found.map(|(at, _)| line_of(at)).collect()
}

#[test]
fn no_file_uses_a_retired_word() {
    let mut found = Vec::new();
    for (name, text) in files() {
        for (retired, word) in RETIRED {
            found.extend(lines(&text, retired).into_iter().map(|line| (name.clone(), line, *retired, *word)));
        }
    }
    found.sort();
    let shown: Vec<String> = found
        .iter()
        .map(|(name, line, retired, word)| format!("{name}:{line}: `{retired}`: use {word}"))
        .collect();
    assert!(found.is_empty(), "{} retired words:\n{}", found.len(), shown.join("\n"));
}

#[test]
fn retired_words_are_found_as_identifiers_and_phrases() {
    let text = "let x = Desk::new(); // a standing\n    // turn of Desks\nhas_unique_key(); enlisted(); is_full\n\
                store.turn(x); ErrorKind::Full ErrorKind::FullX restore.turn(y)";
    assert_eq!(lines(text, "Desk"), [1]);
    assert_eq!(lines(text, "standing turn"), [1]);
    assert_eq!(lines(text, "standing turns"), [0; 0]);
    assert_eq!(lines(text, "*unique_key*"), [3]);
    assert_eq!(lines(text, "enlist*"), [3]);
    assert_eq!(lines(text, "enlist"), [0; 0]);
    assert_eq!(lines(text, "store.turn("), [4]);
    assert_eq!(lines(text, "ErrorKind::Full"), [4]);
}
