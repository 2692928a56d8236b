//! Clients of the rides.proto without a package. The test compiles that file, and shares no code with the
//! server.

use http::{HeaderMap, HeaderValue, Request, StatusCode};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use rides_proto::v1::RideState;
use serde_json::{Value, json};
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use crate::harness::{
    Running,
    protocol::{CallOutput, ProtocolClient},
    rider::Rider,
    server, web,
    wire::{Messages, Wire, details},
};

/// A client made from the descriptors of the older file.
struct Older(DescriptorPool);

impl Older {
    fn client() -> Self {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge");
        let files = protox::compile(["older.proto"], [dir]).unwrap();
        Self(DescriptorPool::from_file_descriptor_set(files).unwrap())
    }

    fn method(&self, name: &str) -> MethodDescriptor {
        let service = self.0.get_service_by_name("Rides").unwrap();
        service.methods().find(|method| method.name() == name).unwrap()
    }

    async fn say(&self, dialect: &mut ProtocolClient, name: &str, requests: &[Value]) -> CallOutput {
        self.say_with(dialect, name, requests, &HeaderMap::new()).await
    }

    async fn say_with(
        &self,
        on: &mut ProtocolClient,
        name: &str,
        requests: &[Value],
        more: &HeaderMap,
    ) -> CallOutput {
        let method = self.method(name);
        let frames: Vec<u8> = requests
            .iter()
            .flat_map(|request| web::frame(&DynamicMessage::deserialize(method.input(), request).unwrap()))
            .collect();
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        on.say_with(&path, &frames, more).await
    }

    /// Returns a field of the response.
    fn answer(&self, name: &str, said: &CallOutput, field: &str) -> Value {
        assert_eq!(said.status.code(), Code::Ok, "{said:?}");
        let answer = DynamicMessage::decode(self.method(name).output(), said.messages[0].clone()).unwrap();
        serde_json::to_value(&answer).unwrap()[field].clone()
    }
}

fn start(car: usize) -> Value {
    json!({
        "carId": car, "driverId": "aino", "passengerIds": ["ada"], "type": "POOL",
        "location": {"lat": 0.0, "lng": 0.0}, "time": "2019-01-01T00:00:00Z",
    })
}

fn position(car: usize, lng: f64) -> Value {
    json!({"carId": car, "location": {"lat": 0.0, "lng": lng}})
}

fn header(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
}

#[tokio::test]
async fn older_clients_start_rides_and_report_in_every_framing() {
    let server = server().run().await;
    let rider = Rider(Wire::Web(server.addr));
    let older = Older::client();
    for (car, mut dialect) in (1..).zip(server.dialects().await) {
        let said = older.say(&mut dialect, "Start", &[start(car)]).await;
        let id = older.answer("Start", &said, "id").as_str().unwrap().to_owned();
        let ride = rider.get(&id).await.unwrap();
        assert_eq!(
            (ride.state(), ride.car_id, ride.r#type),
            (RideState::OnTrip, car as i64, 1),
            "{dialect:?}"
        );
        assert_eq!((ride.driver_id.as_str(), ride.passenger_ids), ("aino", vec!["ada".to_owned()]));

        let way = [0.001, 0.002, 0.003].map(|lng| position(car, lng));
        let said = older.say(&mut dialect, "Track", &way).await;
        assert_eq!(older.answer("Track", &said, "count"), "3", "{dialect:?}");
    }
}

/// A call by an older path is subject to the same message limits, deadlines and validation as one by the
/// current path.
#[tokio::test]
async fn they_are_held_to_what_everyone_is() {
    let server = server().limited(|limits| limits.max_message_size = 1_024).run().await;
    let older = Older::client();
    for mut dialect in server.dialects().await {
        let nobody = json!({"carId": 1, "location": {"lat": 0.0, "lng": 0.0}});
        let said = older.say(&mut dialect, "Start", &[nobody]).await;
        let missing = (Code::InvalidArgument, "MISSING".to_owned(), "driver_id".to_owned());
        assert_eq!(details(&said.status), missing, "{dialect:?}");

        let late = header("grpc-timeout", "0n");
        let said = older.say_with(&mut dialect, "Start", &[start(1)], &late).await;
        assert_eq!(said.status.code(), Code::DeadlineExceeded, "{dialect:?}");

        let long = json!({"carId": 1, "driverId": "x".repeat(2_000)});
        let said = older.say(&mut dialect, "Start", &[long]).await;
        assert_eq!(said.status.code(), Code::ResourceExhausted, "{dialect:?}");

        let said = older.say(&mut dialect, "Start", &[]).await;
        assert_eq!(said.status.code(), Code::Unimplemented, "{dialect:?}: a request without a message");
        let said = dialect.say("/Rides/Book", &web::frame(&())).await;
        assert_eq!(
            said.status.code(),
            Code::Unimplemented,
            "{dialect:?}: a method that the older file does not have"
        );
    }
    for mut http in server.both().await {
        let form = Request::post("/Rides/Start").header("content-type", "text/plain").body("").unwrap();
        assert_eq!(http.send(form).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let figures = http.get("/metrics").await;
        assert!(figures.text().contains("{method=\"rides.v1.Rides/Start\",code=\"InvalidArgument\"}"));
        assert!(!figures.text().contains("\"Rides/"), "a metric by the older name");
    }
}

/// A4: both paths have one entry in the table of roles.
#[tokio::test]
async fn they_need_the_tokens_that_today_s_clients_need() {
    let server = server().requiring_tokens().run().await;
    let older = Older::client();
    for (car, mut dialect) in (1..).zip(server.dialects().await) {
        for (token, code) in [
            (None, Code::Unauthenticated),
            (Some(server.rider("ada")), Code::PermissionDenied),
            (Some(server.dispatcher()), Code::Ok),
        ] {
            let bearer = token.map(|token| header("authorization", &format!("Bearer {token}")));
            let headers = bearer.unwrap_or_default();
            let said = older.say_with(&mut dialect, "Start", &[start(car)], &headers).await;
            assert_eq!(said.status.code(), code, "{dialect:?}");
        }
    }
}

/// Reflection describes only the current contract.
#[tokio::test]
async fn reflection_tells_of_today_s_names_only() {
    let server = server().run().await;
    let services = ask(&server, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = services else { panic!("{services:?}") };
    assert!(list.service.iter().all(|service| service.name.contains('.')), "{list:?}");
    let older = ask(&server, MessageRequest::FileContainingSymbol("Rides".to_owned())).await;
    let MessageResponse::ErrorResponse(error) = older else { panic!("{older:?}") };
    assert_eq!(error.error_code, Code::NotFound as i32);
}

async fn ask(server: &Running, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut answers: Messages<ServerReflectionResponse> =
        Wire::Web(server.addr).open(path, request).await.unwrap();
    answers.expect().await.message_response.unwrap()
}
