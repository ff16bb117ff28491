//! Tests of the start and the stop of the service: arguments, settings, the port, signals.

use std::fs;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::Folder;
use crate::service::{Service, command};
use crate::sink::{Manner, Sink};

/// The output of the program with these arguments and settings, and the names in its directory afterward.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> (Output, Vec<String>) {
    // Tests run at the same time, so the name of the directory is that of the thread.
    let folder = Folder::new(&std::thread::current().name().unwrap_or_default().replace("::", "-"));
    let mut program = command(&folder);
    program.env("QDJOBS_LISTEN", "127.0.0.1:0").args(arguments).envs(settings.iter().copied());
    let output = program.stdin(Stdio::null()).output().unwrap();
    (output, folder.names())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_and_version_are_printed_to_the_standard_output() {
    for (argument, shown) in [
        ("--help", "QDJOBS_LISTEN"),
        ("-h", "SMTP_URL"),
        ("--version", env!("CARGO_PKG_VERSION")),
        ("-V", "job_queue "),
    ] {
        // An invalid setting does not matter: nothing is started.
        let (output, names) = run(&[argument], &[("SMTP_URL", "nonsense")]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{argument}");
        assert!(text(&output.stdout).contains(shown), "{argument}: {}", text(&output.stdout));
        assert!(names.is_empty(), "{argument}: {names:?}");
    }
}

#[test]
fn a_wrong_argument_is_refused_and_nothing_is_made() {
    for (arguments, named) in [
        (&["--port=5005"][..], "`--port=5005` is an unknown option"),
        (&["-p"], "`-p` is an unknown option"),
        (&["5005"], "`5005` is one argument too many"),
        (&["", "x"], "`` is one argument too many"),
    ] {
        let (output, names) = run(arguments, &[]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(said.starts_with("job_queue: ") && said.contains(named) && said.contains("--help"), "{said}");
        assert!(names.is_empty(), "{arguments:?}: {names:?}");
    }
}

#[test]
fn an_invalid_setting_is_refused_and_nothing_is_made() {
    for (name, value, says) in [
        ("QDJOBS_LISTEN", "nonsense", "QDJOBS_LISTEN"),
        ("QDJOBS_LISTEN", "127.0.0.1:99999", "QDJOBS_LISTEN"),
        // An address of documentation, which no machine has.
        ("QDJOBS_LISTEN", "192.0.2.1:5004", "QDJOBS_LISTEN"),
        ("QDJOBS_IMAGES", "/nowhere/at/all", "/nowhere/at/all"),
        ("SMTP_URL", "ftp://x", "SMTP_URL"),
        ("SMTP_URL", "localhost:25", "SMTP_URL"),
        ("SMTP_URL", "smtp://", "it names no host"),
        ("SMTP_URL", "smtps://localhost", "--features tls"),
        ("MAIL_FROM", "not an address", "MAIL_FROM"),
        ("QDJOBS_DB", "/nowhere/at/all/jobs.db", "/nowhere/at/all"),
        ("QDJOBS_DB", ".", "."),
    ] {
        let (output, names) = run(&[], &[(name, value)]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{name}: {said}");
        assert!(said.starts_with("job_queue: ") && said.contains(says), "{name}={value}: {said}");
        assert!(names.is_empty(), "{name}={value}: {names:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_setting_that_is_not_text_is_refused_and_a_path_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = std::ffi::OsStr::from_bytes(b"\xff");
    for name in ["SMTP_URL", "MAIL_FROM", "QDJOBS_LISTEN"] {
        let folder = Folder::new("start-bytes");
        let output = command(&folder).env("QDJOBS_LISTEN", "127.0.0.1:0").env(name, bytes).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name) && folder.names().is_empty(), "{said} {:?}", folder.names());
    }
}

#[test]
fn a_port_in_use_is_refused_and_nothing_is_made() {
    let service = Service::start("start-taken");
    let listen = service.url.trim_start_matches("http://");
    let (second, names) = run(&[], &[("QDJOBS_LISTEN", listen)]);
    let said = text(&second.stderr);
    assert_eq!((second.status.code(), text(&second.stdout).as_str()), (Some(1), ""), "{said}");
    assert!(said.contains(listen) && said.contains("QDJOBS_LISTEN="), "{said}");
    assert!(names.is_empty(), "{names:?}");
}

#[cfg(unix)]
#[test]
fn a_service_that_is_killed_can_be_started_again_at_once() {
    let mut service = Service::start("start-again");
    let params = json!({"to": "user@example.com", "subject": "Test", "body": "Hello World"});
    for _ in 0..10 {
        let id = service.create("send_email", params.clone());
        // Connections of the killed process remain open or wait for their end.
        let open = service.open("GET /jobs HTTP/1.1\r\nHost: localhost\r\n");
        service.kill_and_start_again();
        drop(open);
        service.ended(id);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_service_gracefully() {
    for name in ["TERM", "INT"] {
        let mut service = Service::start(&format!("start-{name}"));
        // The client keeps an idle connection open; the service does not wait for it.
        service.get("/jobs");
        service.signal(name);
        let (status, said) = service.exit();
        assert_eq!(status.code(), Some(0), "{name}: {said}");
        assert!(said.contains("stopping"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn after_a_signal_no_job_starts_though_a_client_stalls() {
    // Each of the four jobs that run at once waits for the server; the fifth would be able to start as soon as
    // the first one ends.
    let sink = Sink::start([Manner::Hold; 12]);
    let mut service = Service::start_with("start-stalled", &[("SMTP_URL", &sink.url)]);
    // A client that never finishes its request, and one that has not begun.
    let stalled = [
        service.open("POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"),
        service.open("GET /jobs HTTP/1.1\r\nHost: loc"),
        service.open(""),
    ];
    let params = json!({"to": "user@example.com", "subject": "Test", "body": "Hello World"});
    let ids: Vec<i64> = (0..12).map(|_| service.create("send_email", params.clone())).collect();
    sink.wait_for_session();
    service.signal("TERM");
    service.said("stopping");
    // The running jobs end while the service still waits for the clients.
    for _ in 0..12 {
        sink.release();
    }
    let (status, said) = service.exit();
    drop(stalled);
    assert_eq!(status.code(), Some(0), "{said}");
    let started = service.stored_jobs(&ids).iter().filter(|job| job.attempt > 0).count();
    assert!((1..=4).contains(&started), "{started} jobs were started");
    assert!(service.stored_jobs(&ids).iter().all(|job| job.status != qdjobs::Status::Running));
}

#[cfg(unix)]
#[test]
fn a_stop_says_once_a_second_for_which_jobs_it_waits() {
    let sink = Sink::start([Manner::Hold]);
    let mut service = Service::start_with("start-waits", &[("SMTP_URL", &sink.url)]);
    let id = service
        .create("send_email", json!({"to": "user@example.com", "subject": "Test", "body": "Hello World"}));
    sink.wait_for_session();
    service.signal("TERM");
    service.said("stopping");
    // The job runs until the mail server answers, so the second line is for another second.
    for _ in 0..2 {
        service.said(&format!("waiting for job {id} (send_email); at most "));
    }
    sink.release();
    let (status, said) = service.exit();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(service.stored_jobs(&[id])[0].status, qdjobs::Status::Completed);
}

#[cfg(unix)]
#[test]
fn a_second_signal_releases_the_running_jobs_and_counts_no_crash() {
    // The four jobs that run at once wait for a server that does not answer.
    let sink = Sink::start([Manner::Hold; 4]);
    let mut service = Service::start_with("start-twice", &[("SMTP_URL", &sink.url)]);
    // The second signal does not wait for this client either.
    let stalled = service.open("POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
    let params = json!({"to": "user@example.com", "subject": "Test", "body": "Hello World"});
    let ids: Vec<i64> = (0..4).map(|_| service.create("send_email", params.clone())).collect();
    sink.wait_for_session();
    service.signal("INT");
    service.said("stopping");
    service.signal("INT");
    let (status, said) = service.exit();
    drop(stalled);
    assert_eq!(status.code(), Some(130), "{said}");
    let jobs = service.stored_jobs(&ids);
    let states = jobs.iter().map(|job| (job.status, job.retry_count, job.crash_count));
    assert_eq!(states.collect::<Vec<_>>(), [(qdjobs::Status::Pending, 0, 0); 4]);
    assert!(jobs.iter().any(|job| job.attempt == 1), "{jobs:?}");
}

#[test]
fn a_start_that_is_refused_leaves_an_existing_database_as_it_was() {
    let folder = Folder::new("start-kept");
    let service = Service::start("start-kept-by");
    let listen = service.url.trim_start_matches("http://");
    fs::write(folder.0.join("jobs.db"), "a file of the user").unwrap();
    for (name, value) in [("QDJOBS_LISTEN", listen), ("SMTP_URL", "nonsense")] {
        let output = command(&folder).env("QDJOBS_LISTEN", "127.0.0.1:0").env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(folder.names(), ["jobs.db"]);
        assert_eq!(fs::read(folder.0.join("jobs.db")).unwrap(), b"a file of the user");
    }
}
