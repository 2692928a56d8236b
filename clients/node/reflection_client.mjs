// Lists the services of the server by reflection, and calls a method without a .proto file.

import { fileURLToPath } from "node:url";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";
import { AS_PLAIN_OBJECTS, ask, connect, flags, report, within } from "./channel.mjs";

process.on("uncaughtException", report);
const options = flags();
const REFLECTION = fileURLToPath(new URL("node_modules/@grpc/reflection/build/proto", import.meta.url));

/** Returns the client class of a service from the definitions of proto-loader. */
const client = (definitions, name) => grpc.makeGenericClientConstructor(definitions[name], name);

const Reflection = client(
  loadSync("grpc/reflection/v1/reflection.proto", { ...AS_PLAIN_OBJECTS, includeDirs: [REFLECTION] }),
  "grpc.reflection.v1.ServerReflection",
);
const questions = connect(Reflection, options).serverReflectionInfo(within());
const answers = questions[Symbol.asyncIterator]();
async function learn(question) {
  questions.write(question);
  return (await answers.next()).value;
}

// Reads the file of each service, and all files that these import.
const services = (await learn({ listServices: "" })).listServicesResponse.service.map(({ name }) => name);
const wanted = services.map((name) => ({ fileContainingSymbol: name }));
const files = new Map();
for (const question of wanted) {
  for (const bytes of (await learn(question)).fileDescriptorResponse.fileDescriptorProto) {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    if (!files.has(file.name)) wanted.push(...file.dependency.map((name) => ({ fileByFilename: name })));
    files.set(file.name, file);
  }
}
questions.end();
const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()] }));
const served = loadFileDescriptorSetFromBuffer(Buffer.from(set), AS_PLAIN_OBJECTS);

for (const name of services) {
  console.log(name);
  for (const method of Object.keys(served[name])) console.log("   ", method);
}

const trip = { pickup: { lat: 60.171, lng: 24.941 }, dropoff: { lat: 60.167, lng: 24.947 } };
const { fare } = await ask(connect(client(served, "rides.v1.Rides"), options), "quote", trip);
console.log(fare);
