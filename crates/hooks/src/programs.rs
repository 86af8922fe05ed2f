//! The programs that hooks may be, and what they are given of the controller's surroundings.

use std::ffi::OsString;

use manifest::Plan;

/// The programs that hooks may run: otherwise each person who may apply a rollout could have the controller run anything, as
/// itself.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    named: Vec<String>,
    /// Variables of the controller that they are given beside the usual ones.
    variables: Vec<String>,
}

/// What every program needs, and no secret stands in. Everything else of the controller's environment stays with it.
const USUAL: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

impl Programs {
    /// Any program, for a controller whose every user may run programs on its machine anyway.
    pub const ANY: &'static str = "*";

    /// Those that an operator names, each as hooks write it: by its path, or by its name; and the variables of the
    /// controller that they are given.
    pub const fn named(named: Vec<String>, variables: Vec<String>) -> Self {
        Self { named, variables }
    }

    /// May it be run?
    pub fn allow(&self, program: &str) -> Result<(), String> {
        if self.named.iter().any(|known| known == Self::ANY || known == program) {
            return Ok(());
        }
        let known = match self.named.as_slice() {
            [] => "names none".to_owned(),
            known => format!("names {}", known.join(", ")),
        };
        Err(format!(
            "{program:?} may not be run: the controller's --hook-command {known}; name it there, or give the hook a url"
        ))
    }

    /// May this plan's hooks be run?
    pub fn allow_plan(&self, plan: &Plan) -> Result<(), String> {
        let refused = plan.programs().into_iter().filter_map(|(field, program)| {
            self.allow(program).err().map(|why| format!("spec.{field}.command: {why}"))
        });
        let refused: Vec<String> = refused.collect();
        if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
    }

    /// The variables of the controller that a program is given.
    pub fn inherited(&self) -> impl Iterator<Item = (&str, OsString)> {
        let names = USUAL.into_iter().chain(self.variables.iter().map(String::as_str));
        names.filter_map(|name| Some((name, std::env::var_os(name)?)))
    }
}
