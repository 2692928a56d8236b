//! The engine of the map. It receives the city, the cars, the overlay and the input of the person, and decides
//! what to paint and whether to paint at all.

use std::sync::Arc;

use rides_proto::{
    geo::{Bounds, LatLng},
    tiles::unit_mercator,
};

use super::{
    camera::{Camera, Padding, ScreenPos, View},
    cars::CarInstances,
    density::Density,
    gesture::{Gestures, Intent, Pointer},
    glyphs::Atlas,
    labels,
    motion::Motion,
    names::{Label, names_of},
    overlay::{Move, Overlay, OverlayShapes, Target},
    painter::{FrameParams, GroundView, Painter},
    scene::{Ground, SceneBuilder},
};
use crate::{
    model::{CityMap, Millis},
    store::{FleetModel, Screen},
};

/// The number of the city's points that are prepared per frame: about three milliseconds of work.
const POINTS_A_FRAME: usize = 24_000;
/// The time without movement after which the camera is at rest, in milliseconds.
const REST_MS: f64 = 150.0;
/// The minimum time between two changes of the watched area while the camera moves, in milliseconds. Each
/// change opens a stream.
const WATCH_INTERVAL_MS: f64 = 300.0;
/// The margin around the screen in which cars are watched, as a fraction of the screen's size.
const WATCH_MARGIN: f64 = 0.1;
/// The margin around bounds that are fitted, in pixels.
const FIT_MARGIN_PX: f64 = 56.0;
/// The minimum zoom at which a single point is shown.
const STREET_ZOOM: f64 = 17.0;
/// The initial speed of the map after an arrow key, in pixels per millisecond. The map stops after 120 pixels.
const KEY_FLING: f64 = 0.54;
/// The period of all pulsing and flowing animations, in seconds.
const PHASE_S: f64 = 3600.0;

/// An input of the person.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MapInput {
    /// A pointer was pressed.
    Down(Pointer),
    /// A pointer moved.
    Moved(Pointer),
    /// A pointer was released.
    Up(Pointer),
    /// The browser cancelled this pointer, or all pointers.
    Cancelled(Option<i32>),
    /// The wheel turned: zoom by these levels about the point, with easing.
    Wheel(ScreenPos, f64),
    /// A trackpad was pinched: zoom by these levels about the point, at once.
    TrackpadPinch(ScreenPos, f64),
    /// Safari reported a pinch about the point, and the scale since its start. The scale is `None` at the start
    /// and the end.
    Gesture(ScreenPos, Option<f64>),
    /// An arrow key: the direction of the camera, each axis from -1 to 1.
    Arrow(f64, f64),
    /// Plus or minus: zoom by these levels about the middle.
    Key(f64),
    /// Show the whole map.
    Whole,
    /// Pick the middle of the map.
    Enter,
}

/// The results of a frame for the rest of the page.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct FrameOutcome {
    /// The point that was clicked.
    pub picked: Option<LatLng>,
    /// The new area to watch, if the camera stopped or left the watched area.
    pub watch_area: Option<Bounds>,
    /// The area that the screen shows.
    pub screen: Option<Screen>,
}

/// The city that is drawn.
struct City {
    map: Arc<CityMap>,
    builder: SceneBuilder,
    camera: Camera,
    names: Vec<Label>,
    named: bool,
}

/// The map, without any part of the browser.
pub struct Engine<P> {
    painter: Option<P>,
    city: Option<City>,
    viewport: (f64, f64),
    dpr: f64,
    padding: Padding,
    reduced_motion: bool,
    motion: Motion,
    gestures: Gestures,
    atlas: Atlas,
    overlay: Overlay,
    shapes: OverlayShapes,
    cars: CarInstances,
    density: Density,
    fleet_revision: Option<u64>,
    painted: Option<GroundView>,
    dirty: bool,
    moved_at: Option<Millis>,
    watched_area: Option<Bounds>,
    watched_since: Millis,
    /// The view for which the atlas was last cleared.
    atlas_cleared_for: Option<GroundView>,
    pending_move: Option<Move>,
}

impl<P: Painter> Engine<P> {
    /// Creates an engine without a painter, a city and a size. `reduced_motion` switches off decorative motion.
    pub fn new(calm: bool) -> Self {
        Self {
            painter: None,
            city: None,
            viewport: (1.0, 1.0),
            dpr: 1.0,
            padding: Padding::default(),
            reduced_motion: calm,
            motion: Motion::default(),
            gestures: Gestures::default(),
            atlas: Atlas::new(1.0, f64::INFINITY),
            overlay: Overlay::default(),
            shapes: OverlayShapes::default(),
            cars: CarInstances::default(),
            density: Density::default(),
            fleet_revision: None,
            painted: None,
            dirty: true,
            moved_at: None,
            watched_area: None,
            watched_since: 0.0,
            atlas_cleared_for: None,
            pending_move: None,
        }
    }

    /// Sets a new painter, which receives everything again. `None` while the browser has lost the context.
    pub fn set_painter(&mut self, painter: Option<P>) {
        self.painter = painter;
        self.fleet_revision = None;
        self.dirty = true;
        self.atlas.forget_upload();
        if let Some(city) = &mut self.city {
            city.restart(self.painter.as_mut());
        }
        self.upload_overlay();
    }

    /// Sets the map's size in CSS pixels and the device pixels per CSS pixel. Returns the device pixels per CSS
    /// pixel to paint with, which are fewer if the device has no canvas of that size.
    pub fn set_size(&mut self, viewport: (f64, f64), dpr: f64, now: Millis) -> f64 {
        let max_side = self.max_side();
        let dpr = dpr.min(max_side / viewport.0.max(viewport.1).max(1.0));
        if dpr != self.dpr {
            self.atlas = Atlas::new(dpr, max_side);
        }
        (self.viewport, self.dpr) = (viewport, dpr);
        self.dirty = true;
        if let Some(city) = &mut self.city {
            city.camera.resize(viewport);
            self.moved_at = Some(now);
        }
        dpr
    }

    /// Returns the largest side of a canvas that the painter supports, in device pixels.
    pub fn max_side(&self) -> f64 {
        self.painter.as_ref().map_or(f64::INFINITY, Painter::max_side)
    }

    /// Sets the part of the map that panels cover.
    pub fn set_padding(&mut self, padding: Padding) {
        self.padding = padding;
    }

    /// Sets the city, or adds the rest of it. Returns the first area to watch if it is a new city.
    pub fn set_map(&mut self, map: &Arc<CityMap>) -> Option<Bounds> {
        self.dirty = true;
        if let Some(city) = self.city.as_mut().filter(|city| city.is_earlier(map)) {
            city.map = map.clone();
            return None;
        }
        let mut city = City {
            map: map.clone(),
            builder: SceneBuilder::new(map.bounds),
            camera: Camera::new(map.bounds, self.viewport, self.padding),
            names: Vec::new(),
            named: false,
        };
        city.restart(self.painter.as_mut());
        let look = city.camera.visible(WATCH_MARGIN);
        self.city = Some(city);
        self.watched_area = Some(look);
        self.motion = Motion::Rest;
        self.fleet_revision = None;
        self.upload_overlay();
        if let Some(wanted) = self.pending_move.take() {
            self.move_camera(wanted, 0.0);
            self.finish_motion();
        }
        Some(look)
    }

    /// Sets the shapes of the ride.
    pub fn set_overlay(&mut self, overlay: Overlay) {
        if self.overlay.followed != overlay.followed {
            self.fleet_revision = None;
        }
        self.overlay = overlay;
        self.upload_overlay();
    }

    /// Moves the camera. Without a city, the newest request is kept until there is one.
    pub fn move_camera(&mut self, to: Move, now: Millis) {
        let Some(city) = &self.city else {
            self.pending_move = Some(to);
            return;
        };
        let view = match to.target {
            Target::Fit(bounds) => city.camera.fit(bounds, self.padding.and(FIT_MARGIN_PX)),
            Target::To(point) => {
                View { center: unit_mercator(point), zoom: city.camera.view().zoom.max(STREET_ZOOM) }
            }
            Target::Whole => city.camera.whole(self.padding.and(FIT_MARGIN_PX)),
        };
        self.motion = Motion::fly(&city.camera, view, now);
        if self.reduced_motion {
            self.finish_motion();
        }
        self.moved_at = Some(now);
    }

    /// Handles an input. Returns the point that was picked, if any.
    pub fn handle_input(&mut self, hand: MapInput, now: Millis) -> Option<LatLng> {
        if hand == MapInput::Whole {
            self.move_camera(Move { seq: 0, target: Target::Whole }, now);
            return None;
        }
        let camera = &mut self.city.as_mut()?.camera;
        let middle = (self.viewport.0 / 2.0, self.viewport.1 / 2.0);
        let intent = match hand {
            MapInput::Down(pointer) => {
                self.motion = Motion::Rest;
                self.gestures.down(pointer)
            }
            MapInput::Moved(pointer) => self.gestures.moved(pointer),
            MapInput::Up(pointer) => self.gestures.up(pointer),
            MapInput::Cancelled(id) => {
                self.gestures.cancel(id);
                None
            }
            MapInput::Wheel(about, levels) => {
                self.motion = self.motion.zoom_by(camera, about, levels, now);
                None
            }
            MapInput::TrackpadPinch(about, levels) => {
                self.motion = Motion::Rest;
                Some(Intent::Pinch { pan: (0.0, 0.0), about, levels })
            }
            MapInput::Gesture(about, scale) => {
                self.motion = Motion::Rest;
                self.gestures.pinch(about, scale)
            }
            MapInput::Arrow(x, y) => {
                self.motion = Motion::Fling { velocity: (-x * KEY_FLING, -y * KEY_FLING), at: now };
                None
            }
            MapInput::Key(levels) => {
                self.motion = self.motion.zoom_by(camera, middle, levels, now);
                None
            }
            MapInput::Enter => Some(Intent::Click(middle)),
            MapInput::Whole => None,
        };
        let picked = intent.and_then(|intent| self.apply_intent(intent, now));
        if self.reduced_motion {
            self.finish_motion();
        }
        self.moved_at = Some(now);
        picked
    }

    /// Returns `true` while the map is dragged.
    pub fn is_dragging(&self) -> bool {
        self.gestures.is_dragging()
    }

    /// Runs one frame: advances all motion, prepares more of the city, and paints if anything changed.
    pub fn frame(&mut self, fleet: &FleetModel, now: Millis) -> FrameOutcome {
        let picked = self.gestures.poll(now).and_then(|intent| self.apply_intent(intent, now));
        let Some(city) = &mut self.city else { return FrameOutcome::default() };
        if self.motion.advance(&mut city.camera, now) {
            self.moved_at = Some(now);
        }
        let look = match self.moved_at {
            Some(at) if now - at >= REST_MS && !self.gestures.is_dragging() => {
                self.moved_at = None;
                // While the camera moved, the city may have been painted without antialiasing.
                self.dirty = true;
                let bounds = Some(city.camera.visible(WATCH_MARGIN));
                if self.watched_area == bounds { None } else { bounds }
            }
            Some(_) if now - self.watched_since >= WATCH_INTERVAL_MS => {
                let is_watched = |bounds: Bounds| {
                    let seen = city.camera.visible(0.0);
                    bounds.contains(seen.south_west()) && bounds.contains(seen.north_east())
                };
                let is_new = !self.watched_area.is_some_and(is_watched);
                is_new.then(|| city.camera.visible(WATCH_MARGIN))
            }
            _ => None,
        };
        if look.is_some() {
            (self.watched_area, self.watched_since) = (look, now);
        }
        let screen = Some(city.camera.screen());
        self.paint(fleet, now);
        FrameOutcome { picked, watch_area: look, screen }
    }

    fn paint(&mut self, fleet: &FleetModel, now: Millis) {
        let (Some(city), Some(painter)) = (&mut self.city, &mut self.painter) else { return };
        let ground = city.builder.ground();
        let batch = city.builder.advance(&city.map, POINTS_A_FRAME);
        if let Some(batch) = &batch {
            painter.add(batch);
            self.dirty = true;
        }
        let look = city.look(self.viewport, self.dpr);
        let moved = self.painted != Some(look);
        // Layout of the names takes as long as a batch of the city, so a frame does only one of them.
        let named = batch.is_none() && city.name_streets();
        // Only once per view: if the atlas has no room for the glyphs of one screen, clearing it again does not help.
        let has_room =
            self.moved_at.is_none() && self.atlas_cleared_for != Some(look) && self.atlas.clear_if_full();
        if has_room {
            self.atlas_cleared_for = Some(look);
        }
        if named || ((moved || has_room) && city.named) {
            painter.set_names(&labels::layout(&city.names, &mut |text| self.atlas.find(text), &look));
            self.dirty = true;
        }
        if self.fleet_revision != Some(fleet.revision()) {
            self.fleet_revision = Some(fleet.revision());
            self.cars = CarInstances::of(fleet.glides(), self.overlay.followed, &ground, now);
            painter.set_cars(&self.cars);
            self.density = Density::of(fleet.densities().into_iter().flatten(), fleet.levels(), &ground);
            painter.set_density(&self.density);
            self.dirty = true;
        }
        if self.dirty || moved {
            painter.set_numbers(&self.density.numbers(&mut |text| self.atlas.find(text), &look));
        }
        if let Some(letters) = self.atlas.changed() {
            painter.set_atlas(letters);
        }
        let alive = !self.reduced_motion && (self.shapes.is_animated() || self.overlay.followed.is_some());
        // A car's trail fades for a while after the car has stopped.
        let gliding = now < self.cars.still_from + 1000.0;
        if self.dirty || moved || alive || gliding {
            let phase = if self.reduced_motion { 0.2 } else { phase_s(now) };
            let cars_now = ((now - self.cars.base) / 1000.0) as f32;
            let moving = self.moved_at.is_some();
            painter.paint(&FrameParams { look, cars_now, phase: phase as f32, moving });
            self.painted = Some(look);
            self.dirty = false;
        }
    }

    /// Returns the failure of the newest frame, if it failed; `None` without a painter.
    pub fn failure(&self) -> Option<Option<String>> {
        self.painter.as_ref().map(Painter::failure)
    }

    /// Returns `true` if there is a city.
    pub fn has_city(&self) -> bool {
        self.city.is_some()
    }

    /// Returns `true` if a frame has been painted.
    pub fn has_painted(&self) -> bool {
        self.painted.is_some()
    }

    /// Returns `true` if the screen shows the city with cars or densities.
    pub fn is_showing(&self) -> bool {
        self.painted.is_some() && !(self.cars.cars.is_empty() && self.density.is_empty())
    }

    fn apply_intent(&mut self, intent: Intent, now: Millis) -> Option<LatLng> {
        let camera = &mut self.city.as_mut()?.camera;
        match intent {
            Intent::Pan(by) => camera.pan(by),
            Intent::Pinch { pan, about, levels } => {
                camera.pan(pan);
                camera.zoom_about(about, camera.view().zoom + levels);
            }
            Intent::Fling(velocity) => self.motion = Motion::Fling { velocity, at: now },
            Intent::DoubleClick(about) => self.motion = self.motion.zoom_by(camera, about, 1.0, now),
            Intent::Click(at) => return Some(camera.lat_lng_from_screen(at)),
        }
        None
    }

    fn finish_motion(&mut self) {
        if let Some(city) = &mut self.city {
            self.motion.finish(&mut city.camera);
        }
    }

    fn upload_overlay(&mut self) {
        if let (Some(city), Some(painter)) = (&self.city, &mut self.painter) {
            self.shapes = OverlayShapes::of(&self.overlay, &city.builder.ground());
            painter.set_overlay(&self.shapes);
        }
        self.dirty = true;
    }
}

impl City {
    /// Returns `true` if `map` is the same city with at least the same contents.
    fn is_earlier(&self, map: &CityMap) -> bool {
        self.map.version == map.version
            && self.map.bounds == map.bounds
            && self.map.areas.len() <= map.areas.len()
            && self.map.streets.len() <= map.streets.len()
            && self.map.rails.len() <= map.rails.len()
    }

    /// Starts to draw the city from the beginning.
    fn restart(&mut self, painter: Option<&mut impl Painter>) {
        self.builder = SceneBuilder::new(self.map.bounds);
        self.named = false;
        if let Some(painter) = painter {
            painter.start(self.builder.extent());
        }
    }

    /// Collects the names once the city is complete. Returns `true` if it did so now.
    fn name_streets(&mut self) -> bool {
        if self.named || !self.map.complete {
            return false;
        }
        self.named = true;
        self.names = names_of(&self.map, &self.builder.ground());
        true
    }

    fn look(&self, viewport: (f64, f64), dpr: f64) -> GroundView {
        let ground: Ground = self.builder.ground();
        GroundView {
            center: ground.ground_from_world(self.camera.view().center),
            px_per_m: (self.camera.px_per_world() / ground.m_per_world()) as f32,
            viewport: [viewport.0 as f32, viewport.1 as f32],
            dpr: dpr as f32,
        }
    }
}

/// Returns the seconds since the last full [`PHASE_S`].
fn phase_s(now: Millis) -> f64 {
    let rounds = now / (1000.0 * PHASE_S);
    (rounds - rounds.floor()) * PHASE_S
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use web_sys::HtmlCanvasElement;

    use super::*;
    use crate::{
        map::{cars::CarInstances, painter::GlyphInstance, scene::GroundPos, scene::SceneBatch},
        model::{Street, StreetClass},
    };

    /// A painter that counts batches and frames.
    #[derive(Clone, Default)]
    struct Counter {
        batches: Rc<Cell<usize>>,
        frames: Rc<Cell<usize>>,
    }

    impl Painter for Counter {
        fn start(&mut self, _: (GroundPos, GroundPos)) {
            self.batches.set(0);
        }
        fn add(&mut self, _: &SceneBatch) {
            self.batches.set(self.batches.get() + 1);
        }
        fn set_atlas(&mut self, _: &HtmlCanvasElement) {}
        fn set_names(&mut self, _: &[GlyphInstance]) {}
        fn set_cars(&mut self, _: &CarInstances) {}
        fn set_density(&mut self, _: &Density) {}
        fn set_numbers(&mut self, _: &[GlyphInstance]) {}
        fn set_overlay(&mut self, _: &OverlayShapes) {}
        fn paint(&mut self, _: &FrameParams) {
            self.frames.set(self.frames.get() + 1);
        }
        fn failure(&self) -> Option<String> {
            None
        }
        fn max_side(&self) -> f64 {
            2048.0
        }
    }

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn city() -> Arc<CityMap> {
        let line = vec![p(60.16, 24.93), p(60.17, 24.94)];
        Arc::new(CityMap {
            name: String::new(),
            bounds: Bounds::around([p(60.15, 24.90), p(60.19, 24.98)]).expect("two points"),
            attribution: String::new(),
            version: "1".into(),
            streets: vec![Street { class: StreetClass::Primary, name: String::new(), line, one_way: false }],
            areas: vec![],
            rails: vec![],
            complete: false,
        })
    }

    fn engine() -> (Engine<Counter>, Counter) {
        let counter = Counter::default();
        let mut engine = Engine::new(false);
        engine.set_size((800.0, 600.0), 1.0, 0.0);
        engine.set_painter(Some(counter.clone()));
        (engine, counter)
    }

    fn click(engine: &mut Engine<Counter>, at: ScreenPos, time: Millis) {
        let pointer = Pointer { id: 1, at, time, primary: true };
        assert_eq!(engine.handle_input(MapInput::Down(pointer), time), None);
        assert_eq!(engine.handle_input(MapInput::Up(pointer), time), None);
    }

    #[test]
    fn nothing_is_painted_when_nothing_changes() {
        let (mut engine, counter) = engine();
        let fleet = FleetModel::default();
        engine.frame(&fleet, 0.0);
        assert_eq!(counter.frames.get(), 0, "there is no city yet");
        assert!(engine.set_map(&city()).is_some(), "a new city has an area to watch");
        for now in 1..=200 {
            engine.frame(&fleet, f64::from(now) * 16.0);
        }
        let painted = counter.frames.get();
        engine.frame(&fleet, 5000.0);
        assert_eq!(counter.frames.get(), painted);
        engine.handle_input(MapInput::Arrow(1.0, 0.0), 5000.0);
        engine.frame(&fleet, 5016.0);
        assert_eq!(counter.frames.get(), painted + 1);
    }

    #[test]
    fn the_page_hears_once_where_the_camera_came_to_rest() {
        let (mut engine, _) = engine();
        let fleet = FleetModel::default();
        engine.set_map(&city());
        click(&mut engine, (10.0, 10.0), 0.0);
        engine.handle_input(MapInput::Key(1.0), 0.0);
        let looks: Vec<_> = (0..200)
            .filter_map(|i| Some((i, engine.frame(&fleet, f64::from(i) * 16.0).watch_area?)))
            .collect();
        let [(at, bounds)] = looks.as_slice() else { panic!("{looks:?}") };
        assert!(*at > 10, "the camera was still moving");
        assert!(bounds.contains(city().bounds.center()));
        click(&mut engine, (10.0, 10.0), 4000.0);
        assert_eq!(engine.frame(&fleet, 4500.0).watch_area, None, "a click moves nothing");
    }

    /// PAGE-5
    #[test]
    fn cars_of_a_newly_shown_area_are_asked_for_while_the_camera_still_moves() {
        let (mut engine, _) = engine();
        let fleet = FleetModel::default();
        engine.set_map(&city());
        engine.handle_input(MapInput::Key(3.0), 0.0);
        (0..100).for_each(|i| _ = engine.frame(&fleet, f64::from(i) * 16.0));
        let held = |x, time| Pointer { id: 1, at: (x, 300.0), time, primary: true };
        engine.handle_input(MapInput::Down(held(700.0, 2_000.0)), 2_000.0);
        let mut looks = Vec::new();
        for i in 0..120 {
            let now = 2_000.0 + f64::from(i) * 16.0;
            engine.handle_input(MapInput::Moved(held(700.0 - f64::from(i) * 5.0, now)), now);
            looks.extend(engine.frame(&fleet, now).watch_area.map(|bounds| (now, bounds)));
        }
        assert!((2..=6).contains(&looks.len()), "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= WATCH_INTERVAL_MS), "{looks:?}");
    }

    #[test]
    fn a_click_picks_the_point_under_it() {
        let (mut engine, _) = engine();
        engine.set_map(&city());
        click(&mut engine, (400.0, 300.0), 0.0);
        let picked = engine.frame(&FleetModel::default(), 300.0).picked.expect("a click");
        assert!(picked.distance_m(city().bounds.center()) < 20.0);
        assert_eq!(engine.frame(&FleetModel::default(), 900.0).picked, None);
    }

    #[test]
    fn a_context_that_comes_back_gets_the_whole_city_again() {
        let (mut engine, first) = engine();
        let fleet = FleetModel::default();
        engine.set_map(&city());
        engine.frame(&fleet, 0.0);
        engine.set_painter(None);
        engine.frame(&fleet, 16.0);
        let second = Counter::default();
        engine.set_painter(Some(second.clone()));
        engine.frame(&fleet, 32.0);
        assert_eq!((first.batches.get(), second.batches.get()), (1, 1));
        assert_eq!(second.frames.get(), 1);
    }

    /// PAGE-2
    #[test]
    fn a_screen_larger_than_the_devices_pictures_is_painted_with_fewer_pixels() {
        let (mut engine, _) = engine();
        assert_eq!(engine.set_size((1440.0, 900.0), 1.0, 0.0), 1.0);
        assert_eq!(engine.set_size((1440.0, 900.0), 2.0, 0.0), 2048.0 / 1440.0);
        assert_eq!(engine.set_size((900.0, 4096.0), 1.0, 0.0), 0.5);
        assert_eq!(engine.set_size((0.0, 0.0), 2.0, 0.0), 2.0);
    }

    #[test]
    fn a_move_asked_for_before_the_city_came_is_made_then() {
        let (mut engine, _) = engine();
        let fleet = FleetModel::default();
        engine.move_camera(Move { seq: 1, target: Target::To(p(60.18, 24.97)) }, 0.0);
        engine.set_map(&city());
        click(&mut engine, (400.0, 300.0), 0.0);
        let picked = engine.frame(&fleet, 300.0).picked.expect("a click");
        assert!(picked.distance_m(p(60.18, 24.97)) < 5.0);
    }
}
