//! What is each metric called that is not a counter of requests? Each name stands here alone; people's dashboards and rules
//! know them, so none changes.
//!
//! What each says is its help text, on the page of whoever shows it.

#![allow(missing_docs)] // each is its own name

/// The filter's gauges and counters, without [`PREFIX`](crate::PREFIX): [`gauge`](crate::gauge) puts it and the tags there.
pub mod filter {
    pub const EPOCH: &str = "epoch";
    pub const LAST_CANARY_ASSIGNED_MS: &str = "last_canary_assigned_ms";
    pub const LATENCY_MS: &str = "latency_ms";
    pub const LEASE_EXPIRED_TOTAL: &str = "lease_expired_total";
    pub const LEASE_RENEWED_TOTAL: &str = "lease_renewed_total";
    pub const LEASE_REVOKED_TOTAL: &str = "lease_revoked_total";
    pub const LEASE_UNASKED_TOTAL: &str = "lease_unasked_total";
    pub const POLICY_GENERATION: &str = "policy_generation";
    pub const POLICY_INCARNATION: &str = "policy_incarnation";
    pub const POLICY_REFUSED_TOTAL: &str = "policy_refused_total";
}

// The controller's, whole.
pub const CONTRADICTIONS_TOTAL: &str = "serin_contradictions_total";
pub const COUNTS_DELAY_SECONDS: &str = "serin_counts_delay_seconds";
pub const DEMAND_LARGEST_SHARE_RATIO: &str = "serin_demand_largest_share_ratio";
pub const DEMAND_NEXT_REQUESTS_PER_SECOND: &str = "serin_demand_next_requests_per_second";
pub const DEMAND_NEXT_SHARE_RATIO: &str = "serin_demand_next_share_ratio";
pub const DEMAND_NEXT_STEP_SECONDS: &str = "serin_demand_next_step_seconds";
pub const DEMAND_PEAK_REQUESTS_PER_SECOND: &str = "serin_demand_peak_requests_per_second";
pub const DEMAND_REQUESTS_PER_SECOND: &str = "serin_demand_requests_per_second";
pub const DRILL_LAST_SUCCESS_TIMESTAMP_SECONDS: &str = "serin_drill_last_success_timestamp_seconds";
pub const DRILL_PASSED: &str = "serin_drill_passed";
pub const DRILL_SECONDS: &str = "serin_drill_seconds";
pub const HOOKS_PENDING: &str = "serin_hooks_pending";
pub const KEPT_WARM_SECONDS: &str = "serin_kept_warm_seconds";
pub const KEPT_WARM_THERE: &str = "serin_kept_warm_there";
pub const KUBERNETES_HEARD_SECONDS: &str = "serin_kubernetes_heard_seconds";
pub const LEADER: &str = "serin_leader";
pub const LEADS: &str = "serin_leads";
pub const LEASE_RENEWED_SECONDS: &str = "serin_lease_renewed_seconds";
pub const LEASE_TRANSITIONS: &str = "serin_lease_transitions";
pub const LOOK_LATENESS_SECONDS: &str = "serin_look_lateness_seconds";
pub const LOOK_SECONDS: &str = "serin_look_seconds";
pub const NEEDED_ENDPOINTS: &str = "serin_needed_endpoints";
pub const PARITY_LAST_SUCCESS_TIMESTAMP_SECONDS: &str = "serin_parity_last_success_timestamp_seconds";
pub const PARITY_PASSED: &str = "serin_parity_passed";
pub const PLUGIN_FAILING: &str = "serin_plugin_failing";
pub const PLUGIN_FAILURES_TOTAL: &str = "serin_plugin_failures_total";
pub const PLUGIN_GENERATION: &str = "serin_plugin_generation";
pub const PLUGIN_REPAIRS_TOTAL: &str = "serin_plugin_repairs_total";
pub const PLUGIN_WRITES_TOTAL: &str = "serin_plugin_writes_total";
pub const PRACTICE_NEXT_TIMESTAMP_SECONDS: &str = "serin_practice_next_timestamp_seconds";
pub const PRACTICE_OVERDUE: &str = "serin_practice_overdue";
pub const PROXIES_IN_TROUBLE: &str = "serin_proxies_in_trouble";
pub const PROXY_TROUBLE: &str = "serin_proxy_trouble";
pub const READY_ENDPOINTS: &str = "serin_ready_endpoints";
pub const REFUSED_REQUESTS_TOTAL: &str = "serin_refused_requests_total";
pub const ROLLBACK_LATENCY_SECONDS: &str = "serin_rollback_latency_seconds";
pub const ROLLOUT_ARM_WEIGHT_RATIO: &str = "serin_rollout_arm_weight_ratio";
pub const ROLLOUT_ATTENTION: &str = "serin_rollout_attention";
pub const ROLLOUT_BEST_PROBABILITY: &str = "serin_rollout_best_probability";
pub const ROLLOUT_CANARY_WEIGHT_RATIO: &str = "serin_rollout_canary_weight_ratio";
pub const ROLLOUT_OVERRIDES: &str = "serin_rollout_overrides";
pub const ROLLOUT_PHASE: &str = "serin_rollout_phase";
pub const ROLLOUT_SHARE_CEILING_RATIO: &str = "serin_rollout_share_ceiling_ratio";
pub const ROLLOUT_VERDICT: &str = "serin_rollout_verdict";
pub const TRIGGER_LAST_SUCCESS_TIMESTAMP_SECONDS: &str = "serin_trigger_last_success_timestamp_seconds";
pub const TRIGGER_PENDING: &str = "serin_trigger_pending";
pub const TRIGGER_POLL_FAILURES_TOTAL: &str = "serin_trigger_poll_failures_total";
pub const WATCH_AGE_SECONDS: &str = "serin_watch_age_seconds";
pub const WATCH_DRIFT: &str = "serin_watch_drift";
pub const WATCH_LIMIT: &str = "serin_watch_limit";
pub const WATCH_VALUE: &str = "serin_watch_value";
