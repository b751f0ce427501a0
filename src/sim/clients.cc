#include "sim/clients.h"

namespace quoin::sim {

Clients::Clients(Fleet& fleet, const std::string& host)
    : fleet_(fleet),
      disk_(&fleet.world()),
      env_(fleet.world(), disk_, fleet.network(), host),
      loop_(env_.NewExecutor("clients")) {}

rpc::Channel& Clients::To(const Host& host) {
  std::unique_ptr<rpc::Channel>& channel = channels_[host.number];
  if (channel == nullptr) {
    channel =
        rpc::Channel::New(env_, *loop_, host.machine->client_address(), rpc::ChannelOptions());
  }
  return *channel;
}

}  // namespace quoin::sim
