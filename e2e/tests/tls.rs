//! The page over TLS, as `cargo xtask run --tls` serves it.
//!
//! Started by `cargo xtask test e2e`; ignored elsewhere, since they need a browser and the built page.

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    page::SOON,
    server::ANY_PORT,
    stage::{QUIET, Stage},
    wait,
};

/// One more than a browser takes a connection to have room for, until the server has told it.
const STREAMS: u64 = 101;

/// B7
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_has_http2_over_tls_and_more_streams_than_connections() -> Result<()> {
    Stage::run("tls", async |stage| {
        let keys = tempfile::tempdir()?;
        let data_dir = keys.path().to_str().context("not a path")?;
        stage.set_flags(QUIET.into_iter().chain(["--tls", "self-signed", "--data-dir", data_dir]));
        let server = stage.start_server(ANY_PORT).await?;
        stage.page.open(&format!("https://{server}/")).await?;
        stage.page.is_live().await?;

        let protocols = "const of = kind => performance.getEntriesByType(kind).map(entry => entry.nextHopProtocol); \
                         return [...of('navigation'), ...of('resource')]";
        let spoken = stage.page.script(protocols).await?;
        let spoken = spoken.as_array().context("no entries")?;
        ensure!(!spoken.is_empty() && spoken.iter().all(|protocol| protocol == "h2"), "{spoken:?}");
        stage.page.says("HTTP/2").await?;
        stage.screenshot("badge").await?;

        let open = format!(
            "window.opened = 0; \
             const call = {{ method: 'POST', headers: {{ 'content-type': 'application/grpc-web+proto' }}, \
                             body: new Uint8Array(5) }}; \
             for (let n = 0; n < {STREAMS}; n++) \
                 fetch('/grpc.health.v1.Health/Watch', call).then(answer => window.opened += answer.ok)"
        );
        stage.page.script(&open).await?;
        wait::until("all streams at once", SOON, async || {
            let opened = stage.page.script("return window.opened").await?;
            Ok((opened == STREAMS).then_some(()))
        })
        .await
    })
    .await
}
