//! Catches Ctrl-C, Ctrl-Break, and the end of the console, the session or the system: [`Requests`].
//!
//! Depends on tokio, whose handler gives the process time after the console was closed: Windows ends it about 5 s
//! later, or when the handler returns. From tokio 1.44 on, the handler does not return.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_logoff,
    ctrl_shutdown,
};
use tokio::sync::Notify;

use super::Request;

/// The number of SIGINT, which C programs on Windows get after Ctrl-C.
const INTERRUPT: i32 = 2;

/// How long a stop waits for running jobs after the console was closed. Then it has to ask them to stop, and to
/// store what becomes of them, before Windows ends the process.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The requests to end the process, one after the other.
#[derive(Debug)]
pub(super) struct Requests {
    runtime: Runtime,
    sources: Sources,
    closed: Arc<Notify>,
}

#[derive(Debug)]
struct Sources {
    interrupt: CtrlC,
    ctrl_break: CtrlBreak,
    console: CtrlClose,
    session: CtrlLogoff,
    system: CtrlShutdown,
}

impl Requests {
    pub(super) fn catch() -> io::Result<Requests> {
        let runtime = Builder::new_current_thread().build()?;
        let entered = runtime.enter();
        let sources = Sources {
            interrupt: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            console: ctrl_close()?,
            session: ctrl_logoff()?,
            system: ctrl_shutdown()?,
        };
        drop(entered);
        Ok(Requests { runtime, sources, closed: Arc::default() })
    }

    /// Waits for the next request; `None` once they are closed.
    pub(super) fn next(&mut self) -> Option<Request> {
        let Sources { interrupt, ctrl_break, console, session, system } = &mut self.sources;
        let closed = self.closed.clone();
        self.runtime.block_on(async move {
            let mut closed = std::pin::pin!(closed.notified());
            std::future::poll_fn(|cx| {
                let is_asked = [interrupt.poll_recv(cx).is_ready(), ctrl_break.poll_recv(cx).is_ready()];
                let is_ended = [
                    console.poll_recv(cx).is_ready(),
                    session.poll_recv(cx).is_ready(),
                    system.poll_recv(cx).is_ready(),
                ];
                if is_ended.contains(&true) {
                    return Poll::Ready(Some(Request { signal: INTERRUPT, wait_max: Some(WAIT_MAX) }));
                }
                if is_asked.contains(&true) {
                    return Poll::Ready(Some(Request { signal: INTERRUPT, wait_max: None }));
                }
                closed.as_mut().poll(cx).map(|()| None)
            })
            .await
        })
    }

    /// Ends the wait for a request.
    pub(super) fn closer(&self) -> impl Fn() + use<> {
        let closed = self.closed.clone();
        move || closed.notify_one()
    }
}
