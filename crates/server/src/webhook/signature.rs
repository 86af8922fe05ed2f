//! Signed deliveries, as MLflow sends them (<https://mlflow.org/docs/latest/ml/webhooks>): HMAC-SHA256 over
//! `id.timestamp.body`, in base64, after `v1,`. Standard Webhooks (<https://www.standardwebhooks.com>) signs alike, under
//! other names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use ring::hmac;

/// A delivery that is from whom it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Equal for one that is sent again.
    pub id: String,
    pub unix_ms: u64,
}

/// Why a delivery is not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsigned(pub String);

/// Names of the headers with id, time and signature.
const NAMES: [[&str; 3]; 2] = [
    ["x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"],
    ["webhook-id", "webhook-timestamp", "webhook-signature"],
];

/// How Standard Webhooks writes a secret that is base64.
const ENCODED: &str = "whsec_";

pub fn verify(
    secret: &str,
    tolerance_ms: u64,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: u64,
) -> Result<Delivery, Unsigned> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let unsigned = |why: String| Err(Unsigned(why));
    let Some([Some(id), Some(timestamp), Some(signatures)]) =
        NAMES.map(|names| names.map(text)).into_iter().find(|found| found.iter().any(Option::is_some))
    else {
        let [mlflow, standard] = NAMES.map(|names| names.join(", "));
        return unsigned(format!(
            "it is not signed: it needs {mlflow}, or {standard}; give the sender the secret"
        ));
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret)?);
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    // Several while the sender changes its secret; compared in constant time.
    let fits = signatures
        .split_ascii_whitespace()
        .filter_map(|one| one.strip_prefix("v1,"))
        .any(|one| BASE64_STANDARD.decode(one).is_ok_and(|tag| hmac::verify(&key, &signed, &tag).is_ok()));
    if !fits {
        return unsigned(
            "its signature does not fit; check that the sender has the secret of the trigger".to_owned(),
        );
    }
    // After the signature: a stranger learns nothing of our clock.
    let Some(unix_ms) = timestamp.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000)) else {
        return unsigned(format!("its time {timestamp:?} is no number of seconds since 1970"));
    };
    if unix_ms.abs_diff(now_ms) > tolerance_ms {
        return unsigned(format!(
            "its time is {} s from ours, and at most {} s are allowed; set the clocks, or spec.webhook.tolerance",
            unix_ms.abs_diff(now_ms).div_ceil(1_000),
            tolerance_ms / 1_000
        ));
    }
    Ok(Delivery { id: id.to_owned(), unix_ms })
}

fn key(secret: &str) -> Result<Vec<u8>, Unsigned> {
    match secret.strip_prefix(ENCODED) {
        None => Ok(secret.as_bytes().to_vec()),
        Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_| {
            Unsigned(format!("our own secret begins with {ENCODED} and is no base64 after that"))
        }),
    }
}

/// As a sender does it.
#[cfg(test)]
fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"entity": "model_version", "action": "created"}"#;
    /// Made with Python's `hmac` and `base64`, as MLflow makes it: secret `s3cret`, id `d-1`, time 1700000000.
    const RECORDED: &str = "v1,vmslMCrId1BSszi8w0UGwJaEDeOASEXEkeCAQVUhxnQ=";
    /// The example of the Standard Webhooks specification.
    const STANDARD: (&str, &str, &str, &str, &str) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        r#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    );

    fn headers(names: [&'static str; 3], values: [&str; 3]) -> HeaderMap {
        let pairs = names.into_iter().zip(values).filter(|(_, value)| !value.is_empty());
        pairs.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[track_caller]
    fn check(values: [&str; 3], body: &str, now_ms: u64, expected: Result<&str, &str>) {
        let found = verify("s3cret", 300_000, &headers(NAMES[0], values), body.as_bytes(), now_ms);
        match (found, expected) {
            (Ok(delivery), Ok(id)) => assert_eq!(delivery.id, id),
            (Err(Unsigned(why)), Err(part)) => {
                assert!(why.contains(part), "{part:?} is missing in: {why}");
                assert!(!why.contains("s3cret"), "{why}");
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn only_what_is_signed_as_mlflow_signs_and_fresh_is_taken() {
        let good = ["d-1", "1700000000", RECORDED];
        let now = 1_700_000_100_000;
        check(good, BODY, now, Ok("d-1"));
        check(good, BODY, 1_699_999_701_000, Ok("d-1"));
        check(good, &BODY.replace("created", "deleted"), now, Err("does not fit"));
        check(["d-2", good[1], good[2]], BODY, now, Err("does not fit"));
        check([good[0], "1700000001", good[2]], BODY, now, Err("does not fit"));
        check([good[0], good[1], "v1,AAAA"], BODY, now, Err("does not fit"));
        check([good[0], good[1], &RECORDED["v1,".len()..]], BODY, now, Err("does not fit"));
        check([good[0], good[1], &format!("v0,x v1,AAAA {RECORDED}")], BODY, now, Ok("d-1"));
        check(good, BODY, 1_700_000_301_000, Err("301 s from ours"));
        check(good, BODY, 1_699_999_699_000, Err("301 s from ours"));
        check(["", "", ""], BODY, now, Err("not signed"));
        check(["d-1", "1700000000", ""], BODY, now, Err("not signed"));
        let nonsense = sign("s3cret", "d-1", "soon", BODY);
        check(["d-1", "soon", &nonsense], BODY, now, Err("no number of seconds"));
    }

    #[test]
    fn standard_webhooks_are_taken_too() {
        let (secret, id, timestamp, body, signature) = STANDARD;
        let given = headers(NAMES[1], [id, timestamp, signature]);
        let at = |now_ms| verify(secret, 300_000, &given, body.as_bytes(), now_ms);
        assert_eq!(at(1_614_265_330_000), Ok(Delivery { id: id.to_owned(), unix_ms: 1_614_265_330_000 }));
        assert!(verify("whsec_???", 300_000, &given, body.as_bytes(), 1_614_265_330_000).is_err());
    }
}
