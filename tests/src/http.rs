use std::net::SocketAddr;

/// An answer as a client saw it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ::http::HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The version the filter says it chose.
    pub fn version(&self) -> Option<&str> {
        self.header("x-serin-version")
    }

    /// The version that answered.
    pub fn model(&self) -> Option<&str> {
        self.header("x-model-version")
    }
}

/// One GET with headers.
pub async fn get(target: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer, reqwest::Error> {
    let mut request = reqwest::Client::new().get(format!("http://{target}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone() })
}

/// The text at a URL; the error says what was answered instead.
pub async fn page(url: &str) -> Result<String, String> {
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let answer = answer.error_for_status().map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}
