// The flags that every command takes.
#include "ctl/command.h"

namespace quoin::ctl {
namespace {

constexpr FlagSpec kGlobal[] = {
    {"endpoints", FlagType::kStringList, "127.0.0.1:2379",
     "where the servers are, comma separated"},
    {"write-out", FlagType::kString, "simple",
     "output format: fields, json, protobuf, simple or table", 'w'},
    {"hex", FlagType::kBool, "", "show keys, values and ids in hexadecimal"},
    {"command-timeout", FlagType::kDuration, "5s",
     "how long a short command may take, connecting included"},
    {"dial-timeout", FlagType::kDuration, "2s",
     "how long one connection attempt may take; 0 = as long as the command"},
    {"keepalive-time", FlagType::kDuration, "2s", "silence after which a connection is tested"},
    {"keepalive-timeout", FlagType::kDuration, "6s", "how long the answer to that test may take"},
    {"max-request-bytes", FlagType::kInt, "0", "largest request to send; 0 = 2 MiB"},
    {"max-recv-bytes", FlagType::kInt, "0", "largest answer to accept; 0 = 2 GiB - 1"},
    {"user", FlagType::kString, "",
     "name[:password] to log in with; asks when there is no password"},
    {"password", FlagType::kString, "", "password of --user, which then is the name alone"},
    {"auth-jwt-token", FlagType::kString, "", "token to present instead of logging in"},
    {"cacert", FlagType::kString, "",
     "certificates of the authorities that may sign the servers' certificates"},
    {"cert", FlagType::kString, "", "certificate to identify with"},
    {"key", FlagType::kString, "", "private key of --cert"},
    {"insecure-transport", FlagType::kBool, "true",
     "connect without TLS unless an endpoint or a file asks for it"},
    {"insecure-skip-tls-verify", FlagType::kBool, "",
     "accept any server certificate (for tests only)"},
    {"discovery-srv", FlagType::kString, "", "domain whose SRV records name the endpoints", 'd'},
    {"discovery-srv-name", FlagType::kString, "", "service name in those records"},
    {"insecure-discovery", FlagType::kBool, "true", "accept SRV records of servers without TLS"},
    {"debug", FlagType::kBool, "", "show the settings in use"},
};

}  // namespace

std::span<const FlagSpec> GlobalFlags() { return kGlobal; }

}  // namespace quoin::ctl
