//! What the user has run at a moment of a rollout: a program, or a POST.

use std::time::Duration;

use manifest::Plan;
use serde_json::Value;

/// Who calls hooks. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    client: reqwest::Client,
    programs: Programs,
}

/// The programs that hooks may be: whoever may apply a rollout could otherwise have the controller run anything, as
/// itself.
#[derive(Clone, Debug, Default)]
pub struct Programs(Vec<String>);

impl Programs {
    /// Any program, for a controller that nobody reaches who may not run programs there anyway.
    pub const ANY: &'static str = "*";

    /// Those that an operator names, each as hooks write it: by its path, or by its name.
    pub const fn named(programs: Vec<String>) -> Self {
        Self(programs)
    }

    fn allow(&self, program: &str) -> Result<(), String> {
        if self.0.iter().any(|known| known == Self::ANY || known == program) {
            return Ok(());
        }
        let known = match self.0.as_slice() {
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
}

impl Hooks {
    /// Of a controller that may run any program.
    #[cfg(test)]
    pub fn any() -> Self {
        Self::new(reqwest::Client::new(), Programs::named(vec![Programs::ANY.to_owned()]))
    }

    pub const fn new(client: reqwest::Client, programs: Programs) -> Self {
        Self { client, programs }
    }

    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// May this plan's hooks be run?
    pub fn allow(&self, plan: &Plan) -> Result<(), String> {
        self.programs.allow_plan(plan)
    }

    /// A POST of JSON; anything but 2xx is a failure. One that is sent twice has the same key.
    pub async fn post(
        &self,
        url: &str,
        body: &Value,
        key: Option<&str>,
        timeout: Duration,
    ) -> Result<(), String> {
        let mut request = self.client.post(url).json(body).timeout(timeout);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("{url} answered {}", answer.status())),
            Err(error) => Err(format!("{url} did not answer: {error}")),
        }
    }

    /// A program with arguments; anything but exit code 0 is a failure. A run may have begun under a controller that
    /// allowed more, so it is asked here as well.
    pub async fn command(
        &self,
        words: &[String],
        env: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), String> {
        let Some((program, arguments)) = words.split_first() else {
            return Err("the command is empty".to_owned());
        };
        self.programs.allow(program)?;
        let running = tokio::process::Command::new(program)
            .args(arguments)
            .envs(env.iter().copied())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(timeout, running).await {
            Err(_) => Err(format!("{program} did not end within {} s", timeout.as_secs())),
            Ok(Err(error)) => Err(format!("{program} could not be started: {error}")),
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("{program} ended with {}: {}", output.status, said.trim()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(more: &str) -> Plan {
        let text = format!(
            "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: ranker}}\nspec:\n  stable: {{version: v1}}\n  canary: {{version: v2}}\n{more}"
        );
        manifest::load(&text).expect("a rollout").plan
    }

    const HOOKS: [&str; 5] = [
        "  handBack: {hook: {command: [deploy, stable]}}\n",
        "  warmUpHook: {command: [deploy]}\n",
        "  keepWarm: {for: 1m, hook: {command: [deploy]}}\n",
        "  after: {succeeded: {command: [deploy]}}\n",
        "  after: {rolledBack: {command: [deploy]}}\n",
    ];

    #[test]
    fn only_named_programs_are_hooks_wherever_the_hook_stands() {
        for more in HOOKS {
            let plan = plan(more);
            for (named, allowed) in [
                (vec![], false),
                (vec!["deploy"], true),
                (vec!["/bin/sh", "deploy"], true),
                (vec!["/usr/bin/deploy"], false),
                (vec!["*"], true),
            ] {
                let programs = Programs::named(named.iter().map(|&name| name.to_owned()).collect());
                let said = programs.allow_plan(&plan);
                assert_eq!(said.is_ok(), allowed, "{more} {named:?}: {said:?}");
                if let Err(why) = said {
                    assert!(why.contains("--hook-command") && why.contains(".command: \"deploy\""), "{why}");
                }
            }
        }
        let url = plan("  handBack: {hook: {url: 'http://deploy'}}\n");
        assert_eq!(Programs::default().allow_plan(&url), Ok(()));
    }

    /// It is not enough to ask when a rollout is applied.
    #[tokio::test]
    async fn what_may_not_be_run_is_not_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let made = dir.path().join("made");
        let words = ["touch".to_owned(), made.display().to_string()];
        for (named, runs) in [("true", false), ("touch", true)] {
            let hooks = Hooks::new(reqwest::Client::new(), Programs::named(vec![named.to_owned()]));
            let done = hooks.command(&words, &[], Duration::from_secs(10)).await;
            assert_eq!((done.is_ok(), made.exists()), (runs, runs), "{named}: {done:?}");
        }
    }
}
