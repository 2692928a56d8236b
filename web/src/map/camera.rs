//! The camera: pure arithmetic between the world and the screen.
//!
//! *World* coordinates are unit-Mercator (`tiles::unit_mercator`). *Screen* coordinates are CSS pixels from the
//! map's top left corner. North is up.

use rides_proto::{
    geo::{Bounds, LatLng},
    math::{log2, pow},
    tiles::{from_unit_mercator, unit_mercator},
};

/// A position in the unit-Mercator square: x eastwards, y southwards.
pub type WorldPos = (f64, f64);
/// A position on the screen, in CSS pixels from the map's top left corner: x to the right, y down.
pub type ScreenPos = (f64, f64);

/// The width of the world at zoom 0, in pixels.
const WORLD_PX: f64 = 256.0;
/// The maximum zoom: about 13 pixels per metre in Helsinki.
const MAX_ZOOM: f64 = 20.0;
/// The number of levels beyond the whole map that the camera may zoom out, because panels may cover two thirds
/// of the map.
const ZOOM_OUT_MARGIN: f64 = 1.6;
/// The distance that the centre may leave the city, as a fraction of the screen.
const PAN_MARGIN: f64 = 0.3;
/// The zoom of the first view: 0 shows the whole city, 1 fills the screen.
const FIRST_VIEW_FILL: f64 = 0.8;
/// A city whose filling zoom is more than this many levels above its whole zoom is long and narrow. Filling the
/// screen would hide nearly all of it.
const LONG_CITY: f64 = 2.5;
/// A map whose whole zoom is below this is a region. Its first view shows all of it.
const REGION_ZOOM: f64 = 12.5;

/// The maximum zoom of a fitted box, so that even a small box is shown with the streets around it.
const FIT_ZOOM: f64 = 17.0;

/// The pixels along the map's edges that panels cover. A fitted box is kept out of them.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Padding {
    /// From the top edge.
    pub top: f64,
    /// From the right edge.
    pub right: f64,
    /// From the bottom edge.
    pub bottom: f64,
    /// From the left edge.
    pub left: f64,
}

impl Padding {
    /// Returns the padding with `px` more on every side.
    pub fn and(self, px: f64) -> Self {
        Self { top: self.top + px, right: self.right + px, bottom: self.bottom + px, left: self.left + px }
    }
}

/// The centre and the zoom of the map.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct View {
    /// The position in the middle of the screen.
    pub center: WorldPos,
    /// The slippy-map zoom: the world is `256 * 2^zoom` pixels wide.
    pub zoom: f64,
}

/// A [`View`] on a screen of a known size, kept near the city.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Camera {
    view: View,
    viewport: (f64, f64),
    city_min: WorldPos,
    city_max: WorldPos,
}

impl Camera {
    /// Returns a camera with the first view of the city. `viewport` is the map's width and height in pixels.
    pub fn new(city: Bounds, viewport: (f64, f64), padding: Padding) -> Self {
        let (city_min, city_max) = world_box(city);
        let mut camera = Self {
            view: View { center: middle(city_min, city_max), zoom: 0.0 },
            viewport: at_least_a_pixel(viewport),
            city_min,
            city_max,
        };
        camera.set_view(camera.first_view(padding));
        camera
    }

    /// Returns the view.
    pub fn view(&self) -> View {
        self.view
    }

    /// Returns the width and height of the map in pixels.
    pub fn viewport(&self) -> (f64, f64) {
        self.viewport
    }

    /// Sets the size of the map. The centre stays where it is.
    pub fn resize(&mut self, viewport: (f64, f64)) {
        self.viewport = at_least_a_pixel(viewport);
        self.set_view(self.view);
    }

    /// Sets the view, or the nearest allowed view. A view that is not finite is ignored.
    pub fn set_view(&mut self, view: View) {
        if !(view.zoom.is_finite() && view.center.0.is_finite() && view.center.1.is_finite()) {
            return;
        }
        let zoom = view.zoom.max(self.min_zoom()).min(MAX_ZOOM);
        let clamp = |at: f64, min: f64, max: f64, px: f64| {
            let margin = PAN_MARGIN * px / px_per_world(zoom);
            at.max((min - margin).max(0.0)).min((max + margin).min(1.0))
        };
        let center = (
            clamp(view.center.0, self.city_min.0, self.city_max.0, self.viewport.0),
            clamp(view.center.1, self.city_min.1, self.city_max.1, self.viewport.1),
        );
        self.view = View { center, zoom };
    }

    /// Returns the width of the whole world in pixels.
    pub fn px_per_world(&self) -> f64 {
        px_per_world(self.view.zoom)
    }

    /// Returns the position on the screen of a position in the world.
    pub fn screen_from_world(&self, world: WorldPos) -> ScreenPos {
        let scale = self.px_per_world();
        (
            (world.0 - self.view.center.0) * scale + self.viewport.0 / 2.0,
            (world.1 - self.view.center.1) * scale + self.viewport.1 / 2.0,
        )
    }

    /// Returns the position in the world of a position on the screen.
    pub fn world_from_screen(&self, screen: ScreenPos) -> WorldPos {
        let scale = self.px_per_world();
        (
            (screen.0 - self.viewport.0 / 2.0) / scale + self.view.center.0,
            (screen.1 - self.viewport.1 / 2.0) / scale + self.view.center.1,
        )
    }

    /// Returns the point on Earth of a position on the screen.
    pub fn lat_lng_from_screen(&self, screen: ScreenPos) -> LatLng {
        let (x, y) = self.world_from_screen(screen);
        from_unit_mercator(x, y)
    }

    /// Drags the map by pixels, so that the point under the finger stays under it.
    pub fn pan(&mut self, (dx, dy): ScreenPos) {
        let scale = self.px_per_world();
        let center = (self.view.center.0 - dx / scale, self.view.center.1 - dy / scale);
        self.set_view(View { center, ..self.view });
    }

    /// Zooms so that the position under `about` stays there.
    pub fn zoom_about(&mut self, about: ScreenPos, zoom: f64) {
        let zoom = zoom.max(self.min_zoom()).min(MAX_ZOOM);
        let anchor = self.world_from_screen(about);
        let scale = px_per_world(zoom);
        let center = (
            anchor.0 - (about.0 - self.viewport.0 / 2.0) / scale,
            anchor.1 - (about.1 - self.viewport.1 / 2.0) / scale,
        );
        self.set_view(View { center, zoom });
    }

    /// Returns the closest view that has all of `bounds` inside the padding.
    pub fn fit(&self, bounds: Bounds, padding: Padding) -> View {
        let (min, max) = world_box(bounds);
        let zoom = self.view_of(min, max, padding, f64::min).zoom.min(FIT_ZOOM);
        View { zoom, center: centered(min, max, padding, zoom) }
    }

    /// Returns the first view of the city, which is large.
    ///
    /// If screen and city have different shapes, the zoom is between showing all of the city and filling the
    /// screen. The city extends behind the translucent panels at the sides, and its middle is in the area
    /// between them. A region and a long, narrow city are shown completely.
    pub fn first_view(&self, padding: Padding) -> View {
        let behind_panels = Padding { left: 0.0, right: 0.0, ..padding };
        let zoom_of = |choose: fn(f64, f64) -> f64| {
            self.view_of(self.city_min, self.city_max, behind_panels, choose).zoom
        };
        let (whole, filled) = (zoom_of(f64::min), zoom_of(f64::max));
        if filled - whole > LONG_CITY || whole < REGION_ZOOM {
            return self.whole(padding);
        }
        let zoom = whole + (filled - whole) * FIRST_VIEW_FILL;
        View { zoom, center: centered(self.city_min, self.city_max, padding, zoom) }
    }

    /// Returns the closest view that has all of the map inside the padding.
    pub fn whole(&self, padding: Padding) -> View {
        self.view_of(self.city_min, self.city_max, padding, f64::min)
    }

    /// Returns the north-western and the south-eastern corners of the visible area.
    pub fn screen(&self) -> (WorldPos, WorldPos) {
        (self.world_from_screen((0.0, 0.0)), self.world_from_screen(self.viewport))
    }

    /// Returns the visible area, extended on every side by `margin` of its size.
    pub fn visible(&self, margin: f64) -> Bounds {
        let (w, h) = self.viewport;
        let corners = [(-margin * w, -margin * h), ((1.0 + margin) * w, (1.0 + margin) * h)];
        let corners = corners.map(|corner| self.lat_lng_from_screen(corner));
        Bounds::around(corners).unwrap_or_else(|| unreachable!("two corners make a box"))
    }

    /// Returns the view of a box. `choose` is `min` for the zoom that shows all of the box, or `max` for the
    /// zoom that fills the screen.
    fn view_of(
        &self,
        min: WorldPos,
        max: WorldPos,
        padding: Padding,
        choose: impl Fn(f64, f64) -> f64,
    ) -> View {
        // At least a fifth of the map, even if the padding is larger.
        let room = |px: f64, pad: f64| (px - pad).max(px / 5.0);
        let room_x = room(self.viewport.0, padding.left + padding.right);
        let room_y = room(self.viewport.1, padding.top + padding.bottom);
        let zoom = |px: f64, span: f64| log2(px / span.max(1e-9) / WORLD_PX);
        let zoom = choose(zoom(room_x, max.0 - min.0), zoom(room_y, max.1 - min.1)).min(MAX_ZOOM - 1.5);
        View { zoom, center: centered(min, max, padding, zoom) }
    }

    fn min_zoom(&self) -> f64 {
        self.whole(Padding::default()).zoom - ZOOM_OUT_MARGIN
    }
}

/// Returns the centre that places the middle of a box in the middle of the area without panels.
fn centered(min: WorldPos, max: WorldPos, padding: Padding, zoom: f64) -> WorldPos {
    let scale = px_per_world(zoom);
    let (x, y) = middle(min, max);
    (x + (padding.right - padding.left) / 2.0 / scale, y + (padding.bottom - padding.top) / 2.0 / scale)
}

fn px_per_world(zoom: f64) -> f64 {
    WORLD_PX * pow(2.0, zoom)
}

fn middle(min: WorldPos, max: WorldPos) -> WorldPos {
    ((min.0 + max.0) / 2.0, (min.1 + max.1) / 2.0)
}

fn at_least_a_pixel((w, h): (f64, f64)) -> (f64, f64) {
    (w.max(1.0), h.max(1.0))
}

fn world_box(bounds: Bounds) -> (WorldPos, WorldPos) {
    let (west, south) = unit_mercator(bounds.south_west());
    let (east, north) = unit_mercator(bounds.north_east());
    ((west, north), (east, south))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn helsinki() -> Bounds {
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        Bounds::new(corner(60.15, 24.90), corner(60.19, 24.98)).expect("right way round")
    }

    fn camera() -> Camera {
        Camera::new(helsinki(), (1440.0, 900.0), Padding::default())
    }

    #[test]
    fn a_fitted_box_is_inside_the_padding() {
        let mut camera = camera();
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let bounds = Bounds::new(corner(60.165, 24.93), corner(60.17, 24.94)).expect("right way round");
        let padding = Padding { top: 20.0, right: 300.0, bottom: 40.0, left: 420.0 };
        camera.set_view(camera.fit(bounds, padding));
        let (min, max) = world_box(bounds);
        let (left, top) = camera.screen_from_world(min);
        let (right, bottom) = camera.screen_from_world(max);
        assert!(left >= 419.9 && right <= 1140.1, "{left} {right}");
        assert!(top >= 19.9 && bottom <= 860.1, "{top} {bottom}");
    }

    /// PAGE-5: a car that is at the pickup.
    #[test]
    fn a_fitted_point_is_in_the_middle_with_the_streets_around_it() {
        let camera = camera();
        let point = LatLng::new(60.17, 24.94).expect("on Earth");
        let padding = Padding { left: 420.0, ..Padding::default() };
        let mut fitted = camera;
        fitted.set_view(camera.fit(Bounds::around([point]).expect("a point"), padding));
        let (x, y) = fitted.screen_from_world(unit_mercator(point));
        assert!((x - 930.0).abs() < 1.0 && (y - 450.0).abs() < 1.0, "{x} {y}");
        assert_eq!(fitted.view().zoom, FIT_ZOOM);
    }

    #[test]
    fn the_city_cannot_be_lost() {
        let mut camera = camera();
        for _ in 0..100 {
            camera.pan((900.0, -700.0));
        }
        let visible = camera.visible(0.0);
        assert!(visible.south_west().lng() < 24.98 && visible.north_east().lng() > 24.90);
        assert!(visible.south_west().lat() < 60.19 && visible.north_east().lat() > 60.15);
        camera.zoom_about((0.0, 0.0), -50.0);
        assert!(camera.view().zoom > 10.0);
        camera.zoom_about((0.0, 0.0), 50.0);
        assert_eq!(camera.view().zoom, MAX_ZOOM);
    }

    /// MAP-6
    #[test]
    fn all_of_the_map_can_be_seen_beside_the_panels_whatever_its_shape() {
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let narrow = Bounds::new(corner(60.17, 24.9), corner(60.172, 25.1)).expect("right way round");
        let padding = Padding { left: 420.0, bottom: 80.0, ..Padding::default() };
        let region = Bounds::new(corner(60.0, 24.5), corner(60.4, 25.6)).expect("right way round");
        for city in [helsinki(), narrow, region] {
            let mut camera = Camera::new(city, (1440.0, 900.0), padding);
            let sees_all = |camera: &Camera| {
                let (min, max) = world_box(city);
                let ((left, top), (right, bottom)) =
                    (camera.screen_from_world(min), camera.screen_from_world(max));
                left >= 419.9 && right <= 1440.1 && top >= -0.1 && bottom <= 820.1
            };
            assert_eq!(sees_all(&camera), city != helsinki(), "the first look at a city is from close by");
            camera.set_view(camera.whole(padding));
            assert!(sees_all(&camera), "{city:?}");
        }
    }

    #[test]
    fn a_view_that_is_no_number_is_ignored() {
        let mut camera = camera();
        let before = camera;
        camera.set_view(View { center: (f64::NAN, 0.5), zoom: 15.0 });
        camera.set_view(View { center: (0.5, 0.5), zoom: f64::INFINITY });
        assert_eq!(camera, before);
    }

    #[test]
    fn a_map_without_a_size_still_has_a_camera() {
        let camera = Camera::new(helsinki(), (0.0, 0.0), Padding::default());
        let (x, y) = camera.screen_from_world(camera.view().center);
        assert!(x.is_finite() && y.is_finite());
    }

    proptest! {
        #[test]
        fn screen_and_world_are_inverse(x in -2000.0..4000.0f64, y in -2000.0..4000.0f64, zoom in 13.0..20.0f64) {
            let mut camera = camera();
            camera.zoom_about((700.0, 400.0), zoom);
            let back = camera.screen_from_world(camera.world_from_screen((x, y)));
            prop_assert!((back.0 - x).abs() < 1e-5 && (back.1 - y).abs() < 1e-5);
        }

        #[test]
        fn zooming_about_a_point_keeps_it(x in 0.0..1440.0f64, y in 0.0..900.0f64, zoom in 15.0..20.0f64) {
            let mut camera = camera();
            camera.zoom_about((720.0, 450.0), 16.0);
            let anchor = camera.world_from_screen((x, y));
            camera.zoom_about((x, y), zoom);
            let now = camera.screen_from_world(anchor);
            prop_assert!((now.0 - x).abs() < 1e-4 && (now.1 - y).abs() < 1e-4, "{now:?}");
        }

        #[test]
        fn panning_moves_the_world_with_the_finger(dx in -200.0..200.0f64, dy in -200.0..200.0f64) {
            let mut camera = camera();
            camera.zoom_about((720.0, 450.0), 17.0);
            let held = camera.world_from_screen((300.0, 300.0));
            camera.pan((dx, dy));
            let now = camera.screen_from_world(held);
            prop_assert!((now.0 - 300.0 - dx).abs() < 1e-4 && (now.1 - 300.0 - dy).abs() < 1e-4);
        }
    }
}
