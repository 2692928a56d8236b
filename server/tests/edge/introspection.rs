//! Health, reflection, probes and metrics.

use std::time::Duration;

use grpc_edge::health_v1::{HealthListRequest, HealthListResponse, health_check_response as health};
use http::StatusCode;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::{
    v1::{
        ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse,
        server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
        server_reflection_response::MessageResponse,
    },
    v1alpha::{self, server_reflection_client::ServerReflectionClient as OlderClient},
};

use crate::harness::{raw_h2, server, soon, web, wire::Messages};

const SERVICES: [&str; 5] = ["", "rides.v1.Rides", "rides.v1.Fleet", "rides.v1.City", "rides.v1.Sessions"];

fn list_services() -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }
}

fn assert_lists_rides(response: ServerReflectionResponse) {
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("{response:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"rides.v1.Rides".to_owned()), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
}

#[tokio::test]
async fn health_is_told_per_service_over_both_protocols() {
    let server = server().run().await;
    let mut native = HealthClient::new(server.channel().await);
    let [mut h1, mut h2] = server.both().await;
    for service in SERVICES {
        let request = HealthCheckRequest { service: service.to_owned() };
        let response = native.check(request.clone()).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service}");
        for http in [&mut h1, &mut h2] {
            let reply = web::ask(http, web::call("/grpc.health.v1.Health/Check", &request)).await;
            assert_eq!(reply.message::<HealthCheckResponse>().status(), ServingStatus::Serving, "{service}");
        }
    }
    let nobody = HealthCheckRequest { service: "rides.v1.Nobody".to_owned() };
    assert_eq!(native.check(nobody).await.unwrap_err().code(), Code::NotFound);
}

/// CLIENT-6: the list agrees with `Check` and `Watch`.
#[tokio::test]
async fn health_lists_every_service_without_a_token() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let list: HealthListResponse =
            wire.ask("/grpc.health.v1.Health/List", HealthListRequest {}).await.unwrap();
        for service in SERVICES {
            assert_eq!(list.statuses[service].status(), health::ServingStatus::Serving, "{service}");
            let request = HealthCheckRequest { service: service.to_owned() };
            let check: HealthCheckResponse =
                wire.ask("/grpc.health.v1.Health/Check", request.clone()).await.unwrap();
            let mut watch: Messages<HealthCheckResponse> =
                wire.open("/grpc.health.v1.Health/Watch", request).await.unwrap();
            let told = list.statuses[service].status;
            assert_eq!((check.status, watch.expect().await.status), (told, told), "{service}");
        }
        // Each listed service has a health check.
        for service in list.statuses.keys() {
            let request = HealthCheckRequest { service: service.clone() };
            let check: Result<HealthCheckResponse, _> =
                wire.ask("/grpc.health.v1.Health/Check", request).await;
            assert!(check.is_ok(), "{service}");
        }
    }
}

/// CLIENT-6: a call that crosses the GOAWAY is served, as for `Check`.
#[tokio::test]
async fn a_server_that_shuts_down_lists_its_services_as_not_serving() {
    let server = server().run().await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    server.stop();
    soon("the warning", down.next_of(raw_h2::GOAWAY)).await.unwrap();
    up.ask(1, "application/grpc", "/grpc.health.v1.Health/List").await.unwrap();
    let answer = async {
        loop {
            let frame = down.next_on(1).await.expect("the connection is open");
            if frame.kind == raw_h2::DATA {
                return HealthListResponse::decode(&frame.payload[5..]).unwrap();
            }
        }
    };
    let list = soon("the list", answer).await;
    assert!(list.statuses.len() >= SERVICES.len(), "{list:?}");
    let statuses = list.statuses.values();
    assert!(statuses.map(|of| of.status()).all(|status| status == health::ServingStatus::NotServing));
}

/// L26: the stream reports SERVICE_UNKNOWN and stays open.
#[tokio::test]
async fn the_health_of_an_unknown_service_can_be_watched_for_as_long_as_one_likes() {
    let server = server().run().await;
    for wire in server.wires().await {
        let nobody = HealthCheckRequest { service: "rides.v1.Nobody".to_owned() };
        let mut watch: Messages<HealthCheckResponse> =
            wire.open("/grpc.health.v1.Health/Watch", nobody).await.unwrap();
        assert_eq!(watch.expect().await.status(), ServingStatus::ServiceUnknown);
        assert!(timeout(Duration::from_millis(200), watch.next()).await.is_err(), "the stream has ended");
    }
}

#[tokio::test]
async fn reflection_lists_the_contract_over_both_protocols() {
    let server = server().run().await;
    let mut native = ServerReflectionClient::new(server.channel().await);
    let requests = tokio_stream::once(list_services());
    let mut responses = native.server_reflection_info(requests).await.unwrap().into_inner();
    assert_lists_rides(responses.message().await.unwrap().unwrap());

    for mut http in server.both().await {
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let reply = web::ask(&mut http, web::call(path, &list_services())).await;
        assert_lists_rides(reply.message());
    }
}

#[tokio::test]
async fn older_tools_find_the_older_reflection() {
    let server = server().run().await;
    let [mut http, _] = server.both().await;
    let path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    // The two versions have the same messages.
    let request =
        v1alpha::ServerReflectionRequest::decode(list_services().encode_to_vec().as_slice()).unwrap();
    assert_lists_rides(web::ask(&mut http, web::call(path, &request)).await.message());

    let mut native = OlderClient::new(server.channel().await);
    let mut answers = native.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().encode_to_vec();
    assert_lists_rides(ServerReflectionResponse::decode(answer.as_slice()).unwrap());
    assert!(answers.message().await.unwrap().is_none(), "the stream ends with OK");
}

/// CLIENT-5: tools decode the details of errors with these types.
#[tokio::test]
async fn reflection_knows_the_details_of_errors() {
    let server = server().run().await;
    let symbols = [
        ("google.rpc.Status", "google/rpc/status.proto"),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.rpc.BadRequest", "google/rpc/error_details.proto"),
        ("google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"),
        ("google.rpc.RetryInfo", "google/rpc/error_details.proto"),
        ("google.rpc.RequestInfo", "google/rpc/error_details.proto"),
        ("google.protobuf.Any", "google/protobuf/any.proto"),
        ("google.protobuf.Duration", "google/protobuf/duration.proto"),
    ];
    let asked: Vec<_> = symbols
        .iter()
        .flat_map(|(symbol, file)| {
            [
                MessageRequest::FileContainingSymbol((*symbol).to_owned()),
                MessageRequest::FileByFilename((*file).to_owned()),
            ]
        })
        .map(|asked| ServerReflectionRequest { host: String::new(), message_request: Some(asked) })
        .collect();
    let mut newer = ServerReflectionClient::new(server.channel().await);
    let mut older = OlderClient::new(server.channel().await);
    let of_old = |request: &ServerReflectionRequest| {
        v1alpha::ServerReflectionRequest::decode(request.encode_to_vec().as_slice()).unwrap()
    };
    let to_older = tokio_stream::iter(asked.iter().map(of_old).collect::<Vec<_>>());
    let mut from_older = older.server_reflection_info(to_older).await.unwrap().into_inner();
    let to_newer = tokio_stream::iter(asked);
    let mut from_newer = newer.server_reflection_info(to_newer).await.unwrap().into_inner();
    for (symbol, file) in symbols {
        for _ in 0..2 {
            let newer = from_newer.message().await.unwrap().unwrap();
            assert_eq!(file_in(&newer), file, "{symbol}");
            let older = from_older.message().await.unwrap().unwrap().encode_to_vec();
            assert_eq!(file_in(&ServerReflectionResponse::decode(older.as_slice()).unwrap()), file);
        }
    }
}

/// The name of the file in a response.
fn file_in(response: &ServerReflectionResponse) -> String {
    let Some(MessageResponse::FileDescriptorResponse(told)) = &response.message_response else {
        panic!("{response:?}")
    };
    let [file] = &told.file_descriptor_proto[..] else { panic!("one file") };
    FileDescriptorProto::decode(file.as_slice()).unwrap().name().to_owned()
}

/// Tools also ask for guessed names. The stream continues after an unknown one.
#[tokio::test]
async fn reflection_outlives_what_it_does_not_know() {
    let server = server().run().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let nobody = || "rides.v1.Nobody".to_owned();
    let extension = ExtensionRequest { containing_type: nobody(), extension_number: 1 };
    let unknown = [
        MessageRequest::FileContainingSymbol(nobody()),
        MessageRequest::FileByFilename("nobody.proto".to_owned()),
        MessageRequest::FileContainingExtension(extension),
        MessageRequest::AllExtensionNumbersOfType(nobody()),
    ]
    .map(|asked| ServerReflectionRequest { host: "here".to_owned(), message_request: Some(asked) });
    let asked: Vec<_> = unknown.into_iter().chain([list_services()]).collect();
    let requests = tokio_stream::iter(asked.clone());
    let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    for request in &asked[..4] {
        let answer = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::ErrorResponse(error)) = answer.message_response else {
            panic!("{answer:?}")
        };
        assert_eq!(error.error_code, Code::NotFound as i32, "{request:?}");
        assert_eq!((answer.valid_host.as_str(), answer.original_request.as_ref()), ("here", Some(request)));
    }
    assert_lists_rides(answers.message().await.unwrap().unwrap());
    assert!(answers.message().await.unwrap().is_none(), "the stream ends with OK");
}

#[tokio::test]
async fn probes_answer_over_plain_http() {
    let server = server().run().await;
    for mut http in server.both().await {
        assert_eq!(http.get("/healthz").await.status, StatusCode::OK);
        assert_eq!(http.get("/readyz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn figures_count_calls_by_method_and_final_status() {
    let server = server().run().await;
    let [mut http, mut watching] = server.both().await;
    let unknown = HealthCheckRequest { service: "rides.v1.Nobody".to_owned() };
    web::ask(&mut http, web::call("/grpc.health.v1.Health/Check", &unknown)).await;
    web::ask(&mut http, web::call("/no.Such/Method", &())).await;
    let watch = web::call("/grpc.health.v1.Health/Watch", &HealthCheckRequest::default());
    let _open = web::open(&mut watching, watch).await;

    let answer = http.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    for figure in [
        "rides_rpcs_total{method=\"grpc.health.v1.Health/Check\",code=\"NotFound\"}",
        "rides_rpcs_total{method=\"unknown\",code=\"Unimplemented\"}",
        "rides_open_rpcs{method=\"grpc.health.v1.Health/Watch\"}",
        "rides_open_connections",
    ] {
        assert!(answer.metric(figure) >= 1.0, "{figure} in\n{}", answer.text());
    }
}

/// The messages of a stream are counted while it runs, however they are split into reads.
#[tokio::test]
async fn figures_count_messages_each_way_and_how_long_calls_take() {
    // No other test makes a stream of this method. The metrics are those of the whole process.
    let server = server().run().await;
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let [mut http, _] = server.both().await;
    let method = "{method=\"grpc.reflection.v1.ServerReflection/ServerReflectionInfo\"";
    let mut count =
        async |name: &str| http.get("/metrics").await.metric(&format!("rides_rpc{name}{method}}}"));
    let started = count("s_started_total").await;
    let (received, sent) = (count("_messages_received_total").await, count("_messages_sent_total").await);
    let requests = tokio_stream::iter(vec![list_services(); 20]).chain(tokio_stream::pending());
    let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    for _ in 0..20 {
        answers.message().await.unwrap().unwrap();
    }
    assert!(count("s_started_total").await > started);
    assert!(count("_messages_received_total").await >= received + 20.0);
    assert!(count("_messages_sent_total").await >= sent + 20.0);

    drop(answers);
    let taken = async {
        let bucket = format!("rides_rpc_duration_seconds_bucket{method},le=\"3600\"}}");
        while http.get("/metrics").await.metric(&bucket) < 1.0 {}
    };
    soon("a duration", taken).await;
}
