//! `errors`: what the codes of JetStream mean. No server is asked.

use crate::failure::Failure;
use crate::session::Session;
use clap::Subcommand;
use evnats::jetstream::ErrorCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what a code means.
    Lookup {
        /// The code, as 10059.
        code: u32,
    },
    /// Lists all codes.
    #[command(alias = "list")]
    Ls {
        /// Shows only those whose name or text has this in it.
        text: Option<String>,
    },
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Lookup { code } => {
            if ErrorCode(code).name().is_none() {
                let failure = Failure::new("unknown_code", format!("there is no code {code}"));
                return Err(failure.with("err_code", code));
            }
            session.output().error_code(ErrorCode(code));
        }
        Verb::Ls { text } => {
            let text = text.unwrap_or_default().to_lowercase();
            let has_text =
                |of: Option<&str>| of.is_some_and(|of| of.to_lowercase().contains(&text));
            let codes =
                ErrorCode::all().filter(|code| has_text(code.name()) || has_text(code.text()));
            session.output().error_codes(&codes.collect::<Vec<_>>());
        }
    }
    Ok(())
}
