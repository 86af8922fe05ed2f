//! What a person can do about a store that does not work.

use std::path::Path;

use anyhow::Error;
use rusqlite::ErrorCode;

/// The error with its remedy.
pub fn with_remedy(error: Error, path: &Path) -> Error {
    let code = error.chain().find_map(|cause| match cause.downcast_ref::<rusqlite::Error>()? {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    });
    let Some(remedy) = code.and_then(remedy) else { return error };
    let shown = path.display();
    error.context(format!("the store {shown} {remedy}"))
}

fn remedy(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::DiskFull => {
            "finds its disk full: free some space there; nothing rises until then, and a rollback needs no disk"
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            "cannot be written: the file and its folder must be writable by this user, on a disk mounted for writing"
        }
        ErrorCode::CannotOpen => "cannot be opened: its folder must exist and be writable by this user",
        ErrorCode::NotADatabase => {
            "is not a store: give --store the file that serin wrote, or a name where no file is yet"
        }
        ErrorCode::DatabaseCorrupt => {
            "is damaged: put a backup in its place, or save what can be read with `sqlite3 FILE .recover | sqlite3 NEW` \
             and start with --store NEW; until then proxies go to stable as their leases end"
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "is held by another program: end whatever writes to it (another serin, a sqlite3 shell, a backup)"
        }
        ErrorCode::SystemIoFailure => {
            "cannot be read or written: its disk reports errors; see the kernel's log"
        }
        _ => return None,
    })
}
