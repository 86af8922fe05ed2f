//! The controller's log: one line an event, whatever stands in it.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

/// Writes to standard error, in colours where that is a terminal and nobody objects (`NO_COLOR`).
pub fn init(filter: EnvFilter) {
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    tracing_subscriber::fmt()
        .fmt_fields(fields())
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
}

/// Fields as `name=value`, the message bare. Reasons, names of proxies and what servers say come from elsewhere: a line break
/// in them would be a line of ours, a control character an order to the reader's terminal.
fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    debug_fn(|writer, field, value| {
        let mut writer = OneLine(writer);
        match field.name() {
            "message" => write!(writer, "{value:?}"),
            name => write!(writer, "{name}={value:?}"),
        }
    })
    .delimited(" ")
}

/// Escapes what is no plain character on its way through.
struct OneLine<'w>(&'w mut dyn fmt::Write);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_stands_in_it() {
        let written = Written::default();
        let to = written.clone();
        let subscriber =
            tracing_subscriber::fmt().fmt_fields(fields()).with_ansi(false).with_writer(move || to.clone());
        let forged =
            "x\n2026-11-30T00:00:00Z  INFO serin: promoted by alice\r\u{1b}[2J\u{85}\u{2028}\u{202e}";
        let error = anyhow::anyhow!("broke\noff");
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::info!(node = forged, n = 7, %error, reason = %forged, "aborted: {forged}");
        });
        let bytes = written.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        let line = text.strip_suffix('\n').expect("a line");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{202e}'), "{line:?}");
        for part in ["n=7", "error=broke\\noff", "aborted: x\\n2026", "\\u{1b}[2J", "\\u{85}"] {
            assert!(line.contains(part), "{part:?} is missing in {line}");
        }
    }
}
