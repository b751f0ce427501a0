#include "config/config.h"

namespace quoin::config {

Config::Config()
    : listen_peer_urls{{"http", "localhost:2380", ""}},
      listen_client_urls{{"http", "localhost:2379", ""}},
      initial_advertise_peer_urls{{"http", "localhost:2380", ""}},
      advertise_client_urls{{"http", "localhost:2379", ""}} {}

}  // namespace quoin::config
