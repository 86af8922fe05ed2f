//! What people and proxies have seen in the end.

use super::*;

impl World {
    pub fn points_passed(&self) -> Vec<Failpoint> {
        self.watched.lock().expect("not poisoned").points.clone()
    }

    pub fn asked_file(&self) -> PathBuf {
        self.dir.path().join("asked")
    }

    pub fn seen(&self) -> Seen {
        let copy = self.watched.lock().expect("not poisoned").copies;
        let store = rusqlite::Connection::open(self.file(copy)).expect("the store");
        let mut query = store
            .prepare("SELECT name, run, kind, who, what, why FROM journal ORDER BY name, run, seq")
            .expect("a query");
        let journal = query
            .query_map([], |row| {
                let kind: String = row.get(2)?;
                let mut what: String = row.get(4)?;
                if kind == "act" {
                    what = format!("{what}/{}", row.get::<_, Option<String>>(5)?.unwrap_or_default());
                }
                // A generation more is no harm.
                if let Some((weight, _)) = what.split_once(" as generation") {
                    what = weight.to_owned();
                }
                Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, kind, row.get(3)?, what))
            })
            .and_then(Iterator::collect)
            .expect("the journal");
        let asked = std::fs::read_to_string(self.asked_file()).unwrap_or_default();
        let runs = self.engine.iter().flat_map(|engine| &engine.runs);
        let ends = runs.map(|(name, run)| {
            let view = run.state.view();
            (name.clone(), (view.phase.to_string(), view.run, view.stage, view.weight_ppm))
        });
        Seen {
            policies: self.watched.lock().expect("not poisoned").policies.clone(),
            journal,
            asked: asked.lines().map(str::to_owned).collect(),
            ends: ends.collect(),
        }
    }
}

/// Notes the policy that lies where proxies read it, if it is another than the last.
pub(super) fn note(policies: &mut Vec<(u64, BTreeMap<String, u64>)>, file: &std::path::Path) {
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let json: serde_json::Value = serde_json::from_str(&text).expect("a policy file");
    let text = json["resources"][0]["typed_config"]["config"]["configuration"]["value"].as_str();
    let policy: serde_json::Value = serde_json::from_str(text.expect("a policy")).expect("JSON");
    let rollouts = policy["rollouts"].as_array().cloned().unwrap_or_default();
    let weights = rollouts.iter().map(|rollout| {
        let weight = rollout["arms"]["canary"]["weight_ppm"].as_u64().unwrap_or(0);
        (rollout["name"].as_str().unwrap_or_default().to_owned(), weight)
    });
    let seen = (policy["generation"].as_u64().expect("a generation"), weights.collect());
    if policies.last() != Some(&seen) {
        policies.push(seen);
    }
}
