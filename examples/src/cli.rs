//! The command line of the demo service: [`Command::read`].
//!
//! Depends on the standard library alone. The service has no option but these two: all settings are
//! environment variables, see `setting`.

use std::ffi::OsString;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Without arguments: run the service.
    Run,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// The text of `--help`.
pub const HELP: &str = "\
job_queue - the demo service of qdjobs: jobs over HTTP, and a worker for them

Usage: job_queue [--help | --version]

Without an option it runs until Ctrl-C or SIGTERM. Its settings are environment
variables:

  QDJOBS_LISTEN  address and port (default 127.0.0.1:5004)
  QDJOBS_DB      the database (default jobs.db)
  QDJOBS_IMAGES  the directory of the images of process_image (default .)
  SMTP_URL       the mail server, as smtp://user:password@host:port;
                 if it is not set, emails are written to outbox/
  MAIL_FROM      the sender of emails, as name@host

  -h, --help     print this text
  -V, --version  print the version

Exit status: 0 after a stop by a signal, 1 after an error, 2 after a wrong
argument.
";

/// The text of `--version`.
pub const VERSION: &str = concat!("job_queue ", env!("CARGO_PKG_VERSION"), "\n");

impl Command {
    /// Reads the arguments, without the name of the program. The error says what to write.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
        let mut surplus = None;
        for argument in arguments {
            match argument.to_string_lossy().as_ref() {
                "-h" | "--help" => return Ok(Command::Help),
                "-V" | "--version" => return Ok(Command::Version),
                option if option.starts_with('-') && option.len() > 1 => {
                    return Err(format!("`{}` is an unknown option; {HINT}", option.escape_debug()));
                }
                other => surplus = surplus.or(Some(other.escape_debug().to_string())),
            }
        }
        match surplus {
            Some(argument) => Err(format!("`{argument}` is one argument too many; {HINT}")),
            None => Ok(Command::Run),
        }
    }
}

const HINT: &str = "job_queue takes only --help and --version, and its settings from environment variables";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Command, String> {
        Command::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn an_option_is_read_wherever_it_is_written() {
        assert_eq!(read(&[]), Ok(Command::Run));
        for arguments in [&["--help"][..], &["-h"], &["x", "--help"], &["--help", "--nonsense"]] {
            assert_eq!(read(arguments), Ok(Command::Help), "{arguments:?}");
        }
        assert_eq!(read(&["-V"]), Ok(Command::Version));
        assert_eq!(read(&["--version", "x"]), Ok(Command::Version));
    }

    #[test]
    fn a_wrong_argument_is_named() {
        for (arguments, named) in [
            (&["--port"][..], "`--port` is an unknown option"),
            (&["--help=all"], "`--help=all` is an unknown option"),
            (&["-x", "--help"], "`-x` is an unknown option"),
            (&["5005"], "`5005` is one argument too many"),
            (&["-"], "`-` is one argument too many"),
            (&["a\u{1b}[31m", "b"], "`a\\u{1b}[31m` is one"),
            (&[""], "`` is one argument too many"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.starts_with(named) && error.contains("--help"), "{error}");
        }
    }

    #[test]
    fn the_help_names_every_setting() {
        for name in ["QDJOBS_LISTEN", "QDJOBS_DB", "QDJOBS_IMAGES", "SMTP_URL", "MAIL_FROM"] {
            assert!(HELP.contains(name), "{name}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 80));
    }
}
