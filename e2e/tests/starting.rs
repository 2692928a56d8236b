//! A page that does not start, or crashes: it says so and offers a way to try again.
//!
//! The tests need a browser and the built page, so they are ignored unless `cargo xtask test e2e` runs them.

use std::time::Duration;

use anyhow::{Result, ensure};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use rides_e2e::{
    http_proxy::{HttpProxy, ProxyBehaviour},
    page::Page,
    page_test::{NO_CARS, PageTest},
    pixels,
    server::ANY_PORT,
    wait,
};

/// The time within which a page that fails must say so.
const SAYS_WITHIN: Duration = Duration::from_secs(7);

type Change = fn(&str, Response<String>) -> Response<String>;

/// Opens the page through a proxy with these habits.
async fn opens(stage: &mut PageTest, habits: ProxyBehaviour) -> Result<HttpProxy> {
    stage.set_flags(NO_CARS);
    let server = stage.start_server(ANY_PORT).await?;
    let proxy = HttpProxy::start(server, habits).await?;
    stage.page.open(&format!("http://{}/", proxy.address())).await?;
    Ok(proxy)
}

fn changed(change: Change) -> ProxyBehaviour {
    ProxyBehaviour { changes: Some(change), ..ProxyBehaviour::default() }
}

fn with_policy(mut response: Response<String>, policy: &'static str) -> Response<String> {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Waits until the first paint displays `words`, and checks that it has a link that reloads the page.
async fn says_in_words(page: &Page, words: &str) -> Result<()> {
    wait::until(&format!("the first paint to say {words:?}"), SAYS_WITHIN, async || {
        let seen = "const words = document.querySelector('.first-paint-words');
                    return words?.checkVisibility({ visibilityProperty: true }) ? words.innerText : ''";
        Ok(page.script(seen).await?.as_str().is_some_and(|text| text.contains(words)).then_some(()))
    })
    .await?;
    let retry = "return document.querySelector('.first-paint-words a').href === location.href";
    ensure!(page.script(retry).await? == true, "the page has no link to try again");
    Ok(())
}

/// Covers PROXY-4 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_with_injected_scripts_and_changed_markup_starts() -> Result<()> {
    PageTest::run("injected", async |stage| {
        let proxy = opens(
            stage,
            changed(|_, response| {
                response.map(|text| {
                    let text = text.replacen("<head>", "<head><script>window.injected = 1;</script>", 1);
                    text.replace("</body>", "<style>p{}</style><script>window.injected = 2</script></body>")
                })
            }),
        )
        .await?;
        stage.page.is_live().await?;
        ensure!(stage.page.script("return window.injected ?? 0").await? == 0, "an injected script has run");
        stage.screenshot("live").await?;
        stage.page.open("about:blank").await?;
        drop(proxy);
        // The browser logs each violation of the content security policy.
        stage.console_is_clean(|error| error.text.contains("Content Security Policy")).await
    })
    .await
}

/// Covers PROXY-4, PAGE-1 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_that_does_not_start_says_so_in_words_within_five_seconds() -> Result<()> {
    let no_scripts = changed(|_, response| with_policy(response, "script-src 'none'"));
    let no_wasm = changed(|_, response| with_policy(response, "script-src 'self'"));
    let no_program = changed(|path, mut response| {
        if path.contains("rides-web") {
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    });
    let cut = |length| ProxyBehaviour { cuts_wasm: Some(length), ..ProxyBehaviour::default() };
    let portal = ProxyBehaviour { is_portal: true, ..ProxyBehaviour::default() };
    for (name, habits, words) in [
        ("no-scripts", no_scripts, "has not started yet"),
        ("no-wasm-by-policy", no_wasm, "A security policy forbids WebAssembly"),
        ("no-program", no_program, "could not be loaded"),
        ("cut-short", cut(100_000), "broke it off"),
        ("html-as-wasm", portal, "Something else came in the place of the page's program"),
    ] {
        PageTest::run(name, async |stage| {
            let proxy = opens(stage, habits).await?;
            says_in_words(&stage.page, words).await?;
            stage.screenshot("said").await?;
            proxy.becomes(ProxyBehaviour::default());
            stage.page.script("document.querySelector('.first-paint-words a').click()").await?;
            stage.page.is_live().await?;
            stage.page.open("about:blank").await?;
            stage.console_is_clean(|_| true).await
        })
        .await?;
    }
    Ok(())
}

/// Covers PAGE-1 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_browser_without_webassembly_is_told_so() -> Result<()> {
    PageTest::run("no-webassembly", async |stage| {
        stage.page.browser.on_every_page("delete globalThis.WebAssembly").await?;
        let proxy = opens(stage, ProxyBehaviour::default()).await?;
        says_in_words(&stage.page, "This browser has no WebAssembly").await?;
        stage.screenshot("said").await?;
        stage.page.browser.resize(390, 844).await?;
        stage.screenshot("phone").await?;
        drop(proxy);
        Ok(())
    })
    .await
}

/// Covers PAGE-1 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_page_that_panics_does_not_say_that_it_is_live() -> Result<()> {
    PageTest::live("panicked", async |stage| {
        let page = &stage.page;
        // A key event during a draw re-enters the map, which panics.
        page.script(
            "const map = document.querySelector('[data-testid=map]');
             WebGL2RenderingContext.prototype.viewport = () =>
                 map.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }));",
        )
        .await?;
        says_in_words(page, "This page has stopped").await?;
        ensure!(page.state("connection").await?.is_none(), "the page still shows the connection pill");
        stage.screenshot("said").await?;
        page.script("document.querySelector('.first-paint-words a').click()").await?;
        page.is_live().await?;
        stage.console_is_clean(|error| error.text.contains("unreachable")).await
    })
    .await
}

/// Covers PAGE-1 in docs/failures.md.
#[tokio::test]
#[ignore = "needs a browser: cargo xtask test e2e"]
async fn a_map_without_its_graphics_says_so_and_is_drawn_again() -> Result<()> {
    PageTest::run("graphics", async |stage| {
        stage.set_flags(NO_CARS);
        let server = stage.start_server(ANY_PORT).await?;
        let page = &stage.page;
        page.open(&format!("http://{server}/")).await?;
        page.is_live().await?;
        let before = page.map_at_rest().await?;
        page.script(
            "const canvas = document.querySelector('[data-testid=map] canvas');
             window.graphics = canvas.getContext('webgl2').getExtension('WEBGL_lose_context');
             window.graphics.loseContext()",
        )
        .await?;
        page.element("map-failure").await?;
        stage.screenshot("lost").await?;
        page.script("window.graphics.restoreContext()").await?;
        wait::until("the map to be drawn again", SAYS_WITHIN, async || {
            Ok(page.attribute("map-failure", "role").await?.is_none().then_some(()))
        })
        .await?;
        let after = page.map_at_rest().await?;
        let differ = pixels::differing(&before, &after)?;
        ensure!(differ < 1_000, "{differ} pixels of the restored map differ");
        stage.screenshot("restored").await
    })
    .await
}
