#include "api/health_service.h"

#include "proto/health.pb.h"

namespace quoin::api {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::health::v1::HealthListResponse;

std::string StatusMessage(grpc::health::v1::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return response.SerializeAsString();
}

class HealthCheckCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    HealthCheckRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!request.service().empty()) return Fail(absl::NotFoundError("unknown service"));
    Reply(StatusMessage(grpc::health::v1::SERVING));
  }
};

class HealthListCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view) override {
    HealthListResponse response;
    (*response.mutable_statuses())[""].set_status(grpc::health::v1::SERVING);
    Reply(response.SerializeAsString());
  }
};

// Tells the status once and stays open: it does not change while the server serves.
class HealthWatchCall final : public rpc::CallHandler {
 public:
  HealthWatchCall(const Context& context, rpc::ServerCall& call)
      : frontend_(context.FrontendOf(call.executor())), call_(call) {}
  void OnMessage(std::string_view message) override {
    Status admitted = AdmitCall(call_, frontend_, /*learner_may=*/false);
    if (!admitted.ok()) return call_.Finish(admitted);
    HealthCheckRequest request;
    if (!state::ParseDeep(message, request)) return call_.Finish(UnmarshalError());
    call_.Send(StatusMessage(request.service().empty() ? grpc::health::v1::SERVING
                                                       : grpc::health::v1::SERVICE_UNKNOWN));
  }
  void OnCancel(const Status&) override {}

 private:
  server::Frontend& frontend_;
  rpc::ServerCall& call_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewHealthCheckCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<HealthCheckCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewHealthListCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<HealthListCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewHealthWatchCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<HealthWatchCall>(context, call);
}

}  // namespace quoin::api
