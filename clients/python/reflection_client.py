"""Lists the services of the server by reflection, and calls a method without generated stubs."""

from rides_channel import connect, flags  # First, since it sets a variable that grpcio reads on import.

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

args = flags(__doc__).parse_args()

with connect(args) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for name in database.get_services():
        print(name)
        for method in pool.FindServiceByName(name).methods:
            print("   ", method.name)

    quote = pool.FindServiceByName("rides.v1.Rides").methods_by_name["Quote"]
    Request, Answer = map(message_factory.GetMessageClass, (quote.input_type, quote.output_type))
    call = channel.unary_unary(
        f"/{quote.containing_service.full_name}/{quote.name}",
        request_serializer=Request.SerializeToString,
        response_deserializer=Answer.FromString,
    )
    request = json_format.ParseDict(
        {"pickup": {"lat": 60.171, "lng": 24.941}, "dropoff": {"lat": 60.167, "lng": 24.947}}, Request())
    print(json_format.MessageToDict(call(request, timeout=10))["fare"])
