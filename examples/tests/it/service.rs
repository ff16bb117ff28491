//! [`Service`], the demo service as a separate process.
//!
//! It is started on a free port in an empty directory. The tests wait for events and do not sleep: the first
//! line of the output contains the port, and the end of a job is awaited through the database.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use qdjobs::{Job, JobId, JobQueue};
use serde_json::Value;
use ureq::http::Response;

use crate::Folder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_job_queue");

/// The limit of every wait. Only a test that hangs reaches it.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    child: Child,
    output: BufReader<ChildStdout>,
    /// `http://127.0.0.1:41234`
    pub(crate) url: String,
    pub(crate) folder: Folder,
    agent: ureq::Agent,
    queue: JobQueue,
}

/// A response: its status, its headers, and its body as text.
pub(crate) type Answer = Response<String>;

impl Service {
    pub(crate) fn start(test: &str) -> Service {
        Service::start_with(test, &[])
    }

    pub(crate) fn start_with(test: &str, settings: &[(&str, &str)]) -> Service {
        let folder = Folder::new(test);
        let mut program = command(&folder);
        program.env("QDJOBS_LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
        let (child, output, url) = spawn(program);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        let queue = JobQueue::open(folder.0.join("jobs.db")).unwrap();
        Service { child, output, url, folder, agent, queue }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        text(self.agent.get(format!("{}{path}", self.url)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        text(self.agent.delete(format!("{}{path}", self.url)).call())
    }

    /// A POST without a body.
    pub(crate) fn order(&self, path: &str) -> Answer {
        text(self.agent.post(format!("{}{path}", self.url)).send_empty())
    }

    pub(crate) fn post(&self, body: impl ToString) -> Answer {
        self.post_as("application/json", body)
    }

    pub(crate) fn post_as(&self, content_type: &str, body: impl ToString) -> Answer {
        let request = self.agent.post(format!("{}/jobs", self.url)).header("Content-Type", content_type);
        text(request.send(body.to_string()))
    }

    /// Creates a job and returns its number.
    pub(crate) fn create(&self, task: &str, params: Value) -> i64 {
        let answer = self.post(serde_json::json!({ "task": task, "params": params }));
        assert_eq!(answer.status(), 201, "{}", answer.body());
        json(&answer)["id"].as_i64().unwrap()
    }

    /// Stores many jobs that are due in the far future, through the database and not through the service.
    pub(crate) fn store_waiting(&self, jobs: usize) {
        use qdjobs::Task as _;
        let job = || qdjobs_examples::tasks::SendEmail::new("user@example.com", "Test", "Hello World");
        self.queue.enqueue_all((0..jobs).map(|_| job().delay(Duration::from_secs(31_536_000)))).unwrap();
    }

    /// Waits for the end of the job and returns it as the service shows it.
    pub(crate) fn ended(&self, id: i64) -> Value {
        // The caller checks how it ended.
        self.queue.handle::<Value>(JobId(id)).wait_timeout(TIMEOUT).ok();
        let job = json(&self.get(&format!("/jobs/{id}")));
        assert!(job["completed_at"].is_string(), "the job has not ended: {job}");
        job
    }

    /// The jobs, read from the database. The service may have ended.
    pub(crate) fn stored_jobs(&self, ids: &[i64]) -> Vec<Job> {
        ids.iter().map(|id| self.queue.get(JobId(*id)).unwrap().unwrap()).collect()
    }

    /// A new connection on which these bytes were sent.
    pub(crate) fn open(&self, sent: &str) -> TcpStream {
        let mut line = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        line.set_read_timeout(Some(TIMEOUT)).unwrap();
        line.write_all(sent.as_bytes()).unwrap();
        line
    }

    /// Sends bytes over a new connection and returns the raw response.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut line = self.open(request);
        let mut answer = Vec::new();
        // The service may close the connection before it has read the whole request.
        line.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for a line of the output that contains this text.
    #[cfg(unix)]
    pub(crate) fn said(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the service has ended");
        }
    }

    /// Kills the process and starts the next one, with the same address and directory, before the killed one
    /// has ended.
    #[cfg(unix)]
    pub(crate) fn kill_and_start_again(&mut self) {
        // A shell, which needs less time from the kill to the start than this process.
        let mut program = clean(Command::new("sh"), &self.folder);
        program.args(["-c", "kill -9 \"$0\" && exec \"$1\"", &self.child.id().to_string(), PROGRAM]);
        program.env("QDJOBS_LISTEN", self.url.trim_start_matches("http://"));
        let (child, output, url) = spawn(program);
        self.child.wait().unwrap();
        assert_eq!(url, self.url);
        (self.child, self.output) = (child, output);
    }

    /// Waits for the end of the process; returns its exit status and its output.
    pub(crate) fn exit(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts the service; returns it when it has printed its address.
fn spawn(mut program: Command) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect(&line).to_owned();
    (child, output, url)
}

/// The program in this directory, without the settings of the environment of the tests.
pub(crate) fn command(folder: &Folder) -> Command {
    clean(Command::new(PROGRAM), folder)
}

fn clean(mut command: Command, folder: &Folder) -> Command {
    command.current_dir(&folder.0);
    for name in ["QDJOBS_DB", "QDJOBS_LISTEN", "QDJOBS_IMAGES", "SMTP_URL", "MAIL_FROM"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn json(answer: &Answer) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/json", "{}", answer.body());
    serde_json::from_str(answer.body()).unwrap()
}

fn text(answer: Result<Response<ureq::Body>, ureq::Error>) -> Answer {
    answer.unwrap().map(|mut body| body.read_to_string().unwrap())
}
