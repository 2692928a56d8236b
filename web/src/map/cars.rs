//! Instances of cars for the GPU, which moves every car along its glide until the next update. Pure.

use bytemuck::{Pod, Zeroable};
use rides_proto::ids::CarNumber;

use super::{palette, scene::Ground};
use crate::model::{CarGlide, Millis};

/// One car on the GPU.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct CarInstance {
    /// The position at the start of the glide, on the ground.
    pub from: [f32; 2],
    /// The position at the end of the glide, on the ground.
    pub to: [f32; 2],
    /// The headings at both ends, in turns clockwise from north.
    pub turns: [f32; 2],
    /// The start and the end of the glide, in seconds since [`CarInstances::base`].
    pub times: [f32; 2],
    /// The colour of its light.
    pub color: [f32; 3],
    /// 1 for the followed car, else 0.
    pub followed: f32,
}

/// All cars at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CarInstances {
    /// The cars. The followed car is last, so that it is painted over the others.
    pub cars: Vec<CarInstance>,
    /// The origin of the instances' times, because an f32 cannot hold a day in milliseconds.
    pub base: Millis,
    /// The end of the last glide.
    pub still_from: Millis,
}

impl CarInstances {
    /// Returns the instances of `glides`, with times relative to `now`.
    pub fn of(
        glides: impl Iterator<Item = CarGlide>,
        followed: Option<CarNumber>,
        ground: &Ground,
        now: Millis,
    ) -> Self {
        let mut instances = Self { cars: Vec::new(), base: now, still_from: now };
        let mut last = None;
        for glide in glides {
            instances.still_from = instances.still_from.max(glide.to_at);
            let is_followed = followed == Some(glide.number);
            let car = instance(&glide, is_followed, ground, now);
            if is_followed {
                last = Some(car);
            } else {
                instances.cars.push(car);
            }
        }
        instances.cars.extend(last);
        instances
    }
}

fn instance(glide: &CarGlide, followed: bool, ground: &Ground, base: Millis) -> CarInstance {
    let seconds = |at: Millis| ((at - base) / 1000.0) as f32;
    CarInstance {
        from: ground.ground_from_world(glide.from),
        to: ground.ground_from_world(glide.to),
        turns: [glide.from_turn, glide.to_turn],
        times: [seconds(glide.from_at), seconds(glide.to_at)],
        color: palette::car(glide.state),
        followed: f32::from(u8::from(followed)),
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::{
        geo::{Bounds, LatLng},
        tiles::unit_mercator,
    };

    use super::*;
    use crate::model::CarState;

    #[test]
    fn the_followed_car_is_last_and_times_are_small() {
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let city = Bounds::new(corner(60.15, 24.90), corner(60.19, 24.98)).expect("right way round");
        let ground = Ground::of(city);
        let a_day = 86_400_000.0;
        let glide = |number| CarGlide {
            number: CarNumber(number),
            from: unit_mercator(city.center()),
            to: unit_mercator(corner(60.17, 24.941)),
            from_turn: 0.25,
            to_turn: 0.3,
            from_at: a_day - 100.0,
            to_at: a_day + 400.0,
            state: CarState::Free,
        };
        let instances =
            CarInstances::of([1, 2, 3].map(glide).into_iter(), Some(CarNumber(1)), &ground, a_day);
        let followed: Vec<_> = instances.cars.iter().map(|car| car.followed).collect();
        assert_eq!(followed, [0.0, 0.0, 1.0]);
        assert_eq!(instances.still_from, a_day + 400.0);
        let car = instances.cars[0];
        assert!((car.times[0] + 0.1).abs() < 1e-6 && (car.times[1] - 0.4).abs() < 1e-6);
        assert!(car.from[0].abs() < 0.01 && car.from[1].abs() < 20.0, "{:?}", car.from);
    }
}
