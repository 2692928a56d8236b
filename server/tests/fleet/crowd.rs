//! More cars in the viewport than the server sends one by one.

use rides_proto::v1::MapDetail;

use super::viewer::{Viewer, helsinki};
use crate::harness::{
    car::car,
    places::{north_of, place},
    server,
};

#[tokio::test]
async fn a_crowd_is_counted_by_cell_and_shown_again_once_it_thins_out() {
    let server = server().counting_cars_above(5).run().await;
    for wire in server.wires().await {
        let mut viewer = Viewer::of(&wire, helsinki()).await;
        let mut cars = Vec::new();
        for id in 1..=5 {
            cars.push(car(id).at(place(1)).signs_on(&server).await);
        }
        viewer.until_cars(5).await;
        assert_eq!(viewer.detail, MapDetail::Cars);

        cars.push(car(6).at(north_of(place(1), 1500.0)).signs_on(&server).await);
        viewer.until_counted(6).await;
        assert!(viewer.cars.is_empty() && viewer.cells.is_empty());
        assert_eq!(viewer.counts.values().copied().collect::<Vec<_>>(), [1, 5], "from north to south");
        let late = Viewer::of(&wire, helsinki()).await;
        assert_eq!((late.detail, &late.counts), (MapDetail::Densities, &viewer.counts));

        cars.pop().unwrap().signs_off().await;
        viewer.until_counted(5).await;
        cars.pop().unwrap().signs_off().await;
        viewer.until_cars(4).await;
        assert!(viewer.counts.is_empty());
        for car in cars {
            car.signs_off().await;
        }
    }
}
