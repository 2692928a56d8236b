//! Fleet frames: they identify no car and no driver.

use bytes::BytesMut;
use prost::{Message as _, encoding::encode_varint};
use rides_proto::v1::{
    self,
    drive_request::{self as up, Message as Up},
    drive_response::Message as Down,
};

use crate::{
    fleet::viewer::helsinki,
    harness::{car::Car, places::place, server, soon, web},
};

/// A number and a name that appear nowhere else in the bytes of a frame.
const CAR: i64 = 987_654_321_987;
const DRIVER: &str = "Zaphod Beeblebrox";

/// A frame for a rider has the number of the car in this epoch, but not the car's id, its driver or its ride.
#[tokio::test]
async fn the_map_names_no_car_and_no_driver() {
    let server = server().requiring_tokens().run().await;
    let mut driver = Car::connects_with(&server, Some(server.dispatcher())).await;
    let sign_on = up::SignOn { car_id: CAR, driver_id: DRIVER.to_owned(), location: Some(place(1)) };
    driver.says(Up::SignOn(sign_on)).await;
    let Down::SignedOn(signed_on) = driver.hears().await else { panic!("signed on") };
    let ada = server.as_rider("ada").await;
    let ride = ada.books("key").await.ride_id;
    driver.takes(&ride).await;

    let [mut http, _] = server.both().await;
    let request = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    let mut call = web::call("/rides.v1.Fleet/Watch", &request);
    let bearer = format!("Bearer {}", server.rider("ada")).parse().unwrap();
    call.headers_mut().insert("authorization", bearer);
    let mut frames = web::open(&mut http, call).await;
    let bytes = async {
        loop {
            let bytes = frames.next().await.expect("the stream has ended");
            let frame = v1::WatchFleetResponse::decode(bytes.clone()).unwrap();
            if frame.cells.iter().any(|cell| cell.cars.contains(&signed_on.car_number)) {
                return bytes;
            }
        }
    };
    let bytes = soon("the car", bytes).await;
    let mut id = BytesMut::new();
    encode_varint(CAR.cast_unsigned(), &mut id);
    for secret in [&id[..], DRIVER.as_bytes(), ride.as_bytes(), b"ada"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{secret:?} in {bytes:?}");
    }
}
