//! The city map, assembled from its stream. The page shows it in a few steps, not after each message.

use std::{cell::Cell, rc::Rc, sync::Arc};

use futures_util::TryStreamExt as _;
use grpc_web_fetch::{
    BrowserClock, Client, Clock as _, Millis, Status,
    backoff::{FIRST_BACKOFF, backoff},
    decode as decode_message, timeout,
};
use leptos::prelude::GetUntracked as _;
use rides_proto::v1;

use super::{
    Store, Update,
    decode::{self, Malformed},
};
use crate::{api::methods::GET_MAP, browser, model::CityMap, sort::sort_by_rank};

/// The number of intermediate steps in which a loading city is shown, besides its beginning and its end.
const STEPS: usize = 3;
/// A map of which nothing arrives for this long is asked for again.
const SILENCE: Millis = 10_000.0;

/// Loads the city, and retries until it is complete. `streaming` is `true` during an attempt and `false`
/// between attempts. `on_failure` is called after each failed attempt.
pub(super) async fn load(client: Client, store: Store, streaming: Rc<Cell<bool>>, on_failure: impl Fn()) {
    let clock = BrowserClock;
    for failures in 1u32.. {
        streaming.set(true);
        let end = load_once(&client, store).await;
        streaming.set(false);
        if end.is_ok() {
            return;
        }
        on_failure();
        clock.sleep(FIRST_BACKOFF.max(clock.random() * backoff(failures))).await;
    }
}

async fn load_once(client: &Client, store: Store) -> Result<(), Status> {
    let clock = BrowserClock;
    let whole = store.city.get_untracked().filter(|city| city.complete);
    let have_version = whole.map(|city| city.version.clone()).unwrap_or_default();
    let request = v1::GetMapRequest { have_version: have_version.clone() };
    let mut stream = client.open(&GET_MAP, &request, None);

    let mut growing = CityBuilder::default();
    while let Some(message) = timeout(&clock, SILENCE, stream.try_next()).await? {
        let message: v1::GetMapResponse = decode_message(message)?;
        if message.info.as_ref().is_some_and(|info| !have_version.is_empty() && info.version == have_version)
        {
            return Ok(());
        }
        let (shown, wrong) = growing.add(message).map_err(|why| Status::internal(why.to_string()))?;
        if let Some(why) = wrong {
            browser::warn_once(&why.to_string());
        }
        if let Some(city) = shown {
            store.apply(Update::City(city));
        }
    }
    let whole = growing
        .finish()
        .ok_or_else(|| Status::unavailable("the map stream ended before its first message"))?;
    store.apply(Update::City(whole));
    Ok(())
}

/// A city that is not complete. Pure.
#[derive(Default)]
struct CityBuilder {
    city: Option<CityMap>,
    /// The numbers of features that are expected and that have arrived.
    expected: usize,
    got: usize,
    steps: usize,
}

impl CityBuilder {
    /// Adds a message. Returns the city if it has grown enough to be shown again, and an error if features had
    /// to be left out.
    /// Fails if the first message of the map is missing or has no valid bounds.
    fn add(
        &mut self,
        message: v1::GetMapResponse,
    ) -> Result<(Option<Arc<CityMap>>, Option<Malformed>), Malformed> {
        let begins = message.info.is_some();
        if let Some(info) = message.info {
            self.expected = [info.streets, info.areas, info.rails].iter().map(|n| *n as usize).sum();
            self.city = Some(CityMap {
                name: info.name,
                bounds: decode::bounds(info.bounds)?,
                attribution: info.attribution,
                version: info.version,
                streets: Vec::new(),
                areas: Vec::new(),
                rails: Vec::new(),
                complete: false,
            });
        }
        let Some(city) = &mut self.city else { return Err(Malformed::MAP_WITHOUT_BEGINNING) };
        self.got += message.streets.len() + message.areas.len() + message.rails.len();
        let (streets, bad_street) = decode::streets(message.streets);
        let (areas, bad_area) = decode::areas(message.areas);
        let (rails, bad_rail) = decode::rails(message.rails);
        city.streets.extend(streets);
        city.areas.extend(areas);
        city.rails.extend(rails);

        let step = self.got * (STEPS + 1) / self.expected.max(1);
        let show = begins || (step > self.steps && step <= STEPS);
        self.steps = self.steps.max(step);
        let shown = show.then(|| Arc::new(city.clone()));
        Ok((shown, bad_street.or(bad_area).or(bad_rail)))
    }

    /// Returns the complete city with the widest streets first, or `None` if the first message is missing.
    fn finish(self) -> Option<Arc<CityMap>> {
        let mut city = self.city?;
        sort_by_rank(&mut city.streets, |street| f32::from(street.class as u8));
        city.complete = true;
        Some(Arc::new(city))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(streets: u32) -> v1::GetMapResponse {
        let bounds = v1::Bounds { south: 60.0, west: 24.0, north: 61.0, east: 25.0 };
        let info =
            v1::MapInfo { bounds: Some(bounds), streets, version: "1".to_owned(), ..Default::default() };
        v1::GetMapResponse { info: Some(info), ..Default::default() }
    }

    fn street(class: v1::StreetClass) -> v1::GetMapResponse {
        let path = Some(v1::Path { microdegrees: vec![60_000_000, 24_500_000, 10, 10] });
        let street = v1::Street { class: class.into(), path, ..Default::default() };
        v1::GetMapResponse { streets: vec![street], ..Default::default() }
    }

    #[test]
    fn a_city_of_many_messages_is_shown_five_times() {
        let mut growing = CityBuilder::default();
        let mut shown = Vec::new();
        let streets = (0..1000).map(|_| street(v1::StreetClass::Tertiary));
        for message in std::iter::once(info(1000)).chain(streets) {
            let (city, wrong) = growing.add(message).expect("well formed");
            assert_eq!(wrong, None);
            shown.extend(city.map(|city| city.streets.len()));
        }
        assert_eq!(shown, [0, 250, 500, 750]);
        let whole = growing.finish().expect("it began");
        assert!(whole.complete && whole.streets.len() == 1000);
    }

    #[test]
    fn a_bad_feature_costs_that_feature_only() {
        let mut growing = CityBuilder::default();
        growing.add(info(2)).expect("well formed");
        let bad = v1::GetMapResponse { streets: vec![v1::Street::default()], ..Default::default() };
        assert!(growing.add(bad).expect("the rest is fine").1.is_some());
        growing.add(street(v1::StreetClass::Footway)).expect("well formed");
        growing.add(street(v1::StreetClass::Primary)).expect("well formed");
        let classes: Vec<_> = growing.finish().expect("it began").streets.iter().map(|s| s.class).collect();
        assert_eq!(classes, [crate::model::StreetClass::Primary, crate::model::StreetClass::Footway]);
    }

    #[test]
    fn a_city_without_its_beginning_is_refused() {
        assert!(CityBuilder::default().add(street(v1::StreetClass::Primary)).is_err());
        assert!(CityBuilder::default().finish().is_none());
    }
}
