//! The page over TLS, as `cargo xtask run --tls` serves it.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.

use anyhow::{Context, Result, ensure};
use rides_e2e::{
    page::PAGE_TIMEOUT,
    page_test::{NO_CARS, PageTest},
    server::ANY_PORT,
    wait,
};

/// One stream more than Chromium opens on a connection before it knows the server's limit.
const STREAMS: u64 = 101;

/// Covers B7 in docs/edge.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn the_page_has_http2_over_tls_and_more_streams_than_connections() -> Result<()> {
    PageTest::run("tls", async |stage| {
        let keys = tempfile::tempdir()?;
        let data_dir = keys.path().to_str().context("the path of the data directory is not UTF-8")?;
        stage.set_flags(NO_CARS.into_iter().chain(["--tls", "self-signed", "--data-dir", data_dir]));
        let server = stage.start_server(ANY_PORT).await?;
        stage.page.open(&format!("https://{server}/")).await?;
        stage.page.is_live().await?;

        let protocols = "const of = kind => performance.getEntriesByType(kind).map(entry => entry.nextHopProtocol); \
                         return [...of('navigation'), ...of('resource')]";
        let spoken = stage.page.script(protocols).await?;
        let spoken = spoken.as_array().context("the script returned no entries")?;
        ensure!(!spoken.is_empty() && spoken.iter().all(|protocol| protocol == "h2"), "{spoken:?}");
        stage.page.says("HTTP/2").await?;
        stage.screenshot("badge").await?;

        let open = format!(
            "window.opened = 0; \
             const call = {{ method: 'POST', headers: {{ 'content-type': 'application/grpc-web+proto' }}, \
                             body: new Uint8Array(5) }}; \
             for (let n = 0; n < {STREAMS}; n++) \
                 fetch('/grpc.health.v1.Health/Watch', call).then(response => window.opened += response.ok)"
        );
        stage.page.script(&open).await?;
        wait::until("all streams to be open at once", PAGE_TIMEOUT, async || {
            let opened = stage.page.script("return window.opened").await?;
            Ok((opened == STREAMS).then_some(()))
        })
        .await
    })
    .await
}
