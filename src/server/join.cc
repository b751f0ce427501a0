#include "server/join.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/lifeline.h"
#include "cluster/membership.h"
#include "cluster/versions.h"
#include "rpc/http_client.h"
#include "server/paths.h"
#include "server/server_version.h"
#include "wal/wal.h"

namespace quoin::server {
namespace {

// How long one URL may take to answer: joining has to have an answer, a new cluster rather starts.
constexpr env::Duration kExistingTimeout = std::chrono::seconds(10);
constexpr env::Duration kNewTimeout = std::chrono::seconds(1);

std::vector<std::string> Sorted(std::vector<std::string> strings) {
  std::sort(strings.begin(), strings.end());
  return strings;
}

// One exchange at a time; each step starts the next.
class JoiningImpl final : public Joining {
 public:
  JoiningImpl(env::Env& env, env::Executor& loop, const NodeConfig& config, Logger& log, Done done)
      : env_(env), loop_(loop), config_(config), log_(log), done_(std::move(done)) {
    std::vector<std::string> urls;
    for (const auto& [name, theirs] : config_.initial_cluster) {
      if (name != config_.name) urls.insert(urls.end(), theirs.begin(), theirs.end());
    }
    urls = Sorted(std::move(urls));
    urls_.assign(urls.begin(), urls.end());
    loop_.Post(lifeline_.Tie([this] { AskNextForMembers(); }));
  }

 private:
  using OnAnswer = absl::AnyInvocable<void(StatusOr<rpc::HttpResponse>)>;

  void Ask(const std::string& url, const char* target, OnAnswer then) {
    rpc::FetchRequest request;
    request.head.url = url;
    request.head.target = target;
    request.timeout = config_.joins_existing ? kExistingTimeout : kNewTimeout;
    fetch_ = rpc::StartFetch(env_, loop_, std::move(request), std::move(then));
  }

  void AskNextForMembers() {
    if (urls_.empty()) return NobodyAnswered();
    const std::string url = std::move(urls_.front());
    urls_.pop_front();
    Ask(url, "/members", [this, url](StatusOr<rpc::HttpResponse> answer) {
      if (!TakeMembers(url, answer)) return AskNextForMembers();
      if (!config_.joins_existing) return CheckNew();
      if (Status status = Match(); !status.ok()) return done_(status);
      AskNextForVersion();
    });
  }

  bool TakeMembers(const std::string& url, const StatusOr<rpc::HttpResponse>& answer) {
    auto fail = [&](std::string why) {
      log_.Warn("failed to get cluster response", {{"address", url}, {"error", std::move(why)}});
      return false;
    };
    if (!answer.ok()) return fail(std::string(answer.status().message()));
    if (answer->status != 200) return fail("HTTP status " + std::to_string(answer->status));
    StatusOr<std::vector<cluster::Member>> members = cluster::ParseMemberListJson(answer->body);
    if (!members.ok()) return fail(std::string(members.status().message()));
    if (members->empty()) return fail("it knows no members");
    for (const auto& [name, value] : answer->headers) {
      if (!absl::EqualsIgnoreCase(name, "X-Etcd-Cluster-Id")) continue;
      if (std::optional<uint64_t> id = cluster::ParseHexId(value)) found_.cluster_id = *id;
    }
    if (found_.cluster_id == 0) return fail("no cluster id in the answer");
    members_ = *std::move(members);
    return true;
  }

  void NobodyAnswered() {
    if (!config_.joins_existing) return done_(std::nullopt);
    done_(absl::UnavailableError(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
        "the given URLs"));
  }

  static Status Bootstrapped(uint64_t id) {
    return absl::FailedPreconditionError("member " + cluster::HexId(id) +
                                         " has already been bootstrapped");
  }

  // A cluster runs already. It may be the one that this member makes with the others, as long as it
  // has not been started there before.
  void CheckNew() {
    auto own = config_.initial_cluster.find(config_.name);
    if (own == config_.initial_cluster.end()) return done_(std::nullopt);
    const uint64_t self = cluster::MemberId(own->second, config_.initial_cluster_token);
    for (const cluster::Member& member : members_) {
      if (member.id == self && !member.client_urls.empty()) return done_(Bootstrapped(self));
    }
    done_(std::nullopt);
  }

  // Each name of --initial-cluster is the member with the same peer URLs.
  Status Match() {
    auto invalid = [](const std::string& why) {
      return absl::InvalidArgumentError("error validating peerURLs: " + why);
    };
    if (members_.size() != config_.initial_cluster.size())
      return invalid("member count is unequal");
    const cluster::Member* own = nullptr;
    for (const auto& [name, urls] : config_.initial_cluster) {
      auto same = std::find_if(members_.begin(), members_.end(), [&](const auto& member) {
        return Sorted(member.peer_urls) == Sorted(urls);
      });
      if (same == members_.end()) {
        std::string list;
        for (const std::string& url : Sorted(urls)) list += (list.empty() ? "" : ",") + url;
        return invalid("unmatched member while checking PeerURLs (" + list + ")");
      }
      found_.peer_urls[same->id] = same->peer_urls;
      if (name == config_.name) own = &*same;
    }
    if (found_.peer_urls.size() != members_.size() || own == nullptr)
      return invalid("two members have the same PeerURLs");
    found_.self = own->id;
    if (!own->client_urls.empty()) return Bootstrapped(own->id);
    for (const auto& [id, urls] : found_.peer_urls) {
      if (id != found_.self) urls_of_others_.push_back(urls);
    }
    return OkStatus();
  }

  // --- whether this release may run beside the others ---

  void AskNextForVersion() {
    if (urls_of_others_.empty()) return EndVersions();
    const std::string url = urls_of_others_.front().empty() ? "" : urls_of_others_.front().front();
    urls_of_others_.pop_front();
    Ask(url, "/version", [this, url](StatusOr<rpc::HttpResponse> answer) {
      std::optional<std::string> version;
      if (answer.ok() && answer->status == 200) version = cluster::ClusterVersionOf(answer->body);
      if (!version || *version == "not_decided") return AskNextForVersion();
      Ask(url, "/downgrade/enabled", [this, version](StatusOr<rpc::HttpResponse> enabled) {
        const bool downgrading =
            enabled.ok() && enabled->status == 200 && enabled->body.starts_with("true");
        compatible_ = true;
        if (!cluster::MayJoin(kServerVersion, *version, downgrading)) incompatible_ = true;
        AskNextForVersion();
      });
    });
  }

  void EndVersions() {
    if (incompatible_ || !compatible_)
      return done_(absl::FailedPreconditionError("incompatible with current running cluster"));
    done_(std::move(found_));
  }

  env::Env& env_;
  env::Executor& loop_;
  const NodeConfig& config_;
  Logger& log_;
  Done done_;
  std::unique_ptr<rpc::Fetch> fetch_;
  std::deque<std::string> urls_;  // not asked yet
  std::deque<std::vector<std::string>> urls_of_others_;
  std::vector<cluster::Member> members_;
  NodeConfig::Existing found_;
  bool compatible_ = false;  // somebody's version is known
  bool incompatible_ = false;
  Lifeline lifeline_;
};

}  // namespace

bool IsNewMember(env::BlockingFileSystem& files, const NodeConfig& config) {
  return !wal::Exists(files, Paths(config).wal);
}

std::unique_ptr<Joining> Joining::Start(env::Env& env, env::Executor& loop,
                                        const NodeConfig& config, Logger& log, Done done) {
  return std::make_unique<JoiningImpl>(env, loop, config, log, std::move(done));
}

}  // namespace quoin::server
