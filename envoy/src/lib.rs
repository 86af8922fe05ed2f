//! Speaks Envoy: policy out over ECDS, counters back from the admin endpoint.
