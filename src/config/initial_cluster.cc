#include "config/initial_cluster.h"

#include <algorithm>
#include <set>

#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// "a=u1,a=u2,b=u3", by name and then by URL, as etcd prints such a map.
std::string Text(const InitialCluster& cluster) {
  std::vector<std::string> parts;
  for (const auto& [name, urls] : cluster) {
    for (const Url& url : urls) parts.push_back(Cat(name, "=", url.text()));
  }
  return Join(parts, ",");
}

bool HasDuplicateUrl(const InitialCluster& cluster) {
  std::set<Url> seen;
  for (const auto& [name, urls] : cluster) {
    for (const Url& url : urls) {
      if (!seen.insert(url).second) return true;
    }
  }
  return false;
}

std::vector<std::string> Missing(const std::vector<Url>& from, const std::vector<Url>& in) {
  std::vector<std::string> missing;
  for (const Url& url : from) {
    if (std::find(in.begin(), in.end(), url) == in.end()) missing.push_back(url.text());
  }
  return missing;
}

// The reason in parentheses: how the two lists differ.
std::string Difference(const std::vector<Url>& advertised, const std::vector<Url>& listed) {
  auto quoted = [](const std::vector<Url>& urls) {
    std::vector<std::string> texts;
    for (const Url& url : urls) texts.push_back(Quote(url.text()));
    return Cat("[", Join(texts, " "), "]");
  };
  if (advertised.size() != listed.size()) {
    return Cat("len(", quoted(advertised), ") != len(", quoted(listed), ")");
  }
  for (size_t i = 0; i < advertised.size(); ++i) {
    if (advertised[i] == listed[i]) continue;
    return Cat("resolved urls: ", Quote(advertised[i].text()), " != ", Quote(listed[i].text()));
  }
  return "";
}

}  // namespace

StatusOr<InitialCluster> ParseInitialCluster(std::string_view text) {
  std::map<std::string, std::string> lists;
  for (const std::string& item : Split(text, ',')) {
    if (item.empty()) continue;
    size_t equals = item.find('=');
    std::string url = equals == std::string::npos ? "" : item.substr(equals + 1);
    auto [list, fresh] = lists.try_emplace(item.substr(0, equals), url);
    if (!fresh) Append(list->second, ",", url);
  }
  InitialCluster cluster;
  for (const auto& [name, list] : lists) {
    StatusOr<std::vector<Url>> urls = ParseUrls(list);
    if (!urls.ok())
      return Invalid(Cat("error setting up initial cluster: ", Message(urls.status())));
    cluster[name] = *std::move(urls);
  }
  return cluster;
}

Status CheckBootstrap(const Config& config, const InitialCluster& cluster) {
  auto own = cluster.find(config.name);
  if (own == cluster.end()) {
    return Invalid(Cat("couldn't find local name ", Quote(config.name),
                       " in the initial cluster configuration"));
  }
  std::vector<Url> advertised = config.initial_advertise_peer_urls;
  std::sort(advertised.begin(), advertised.end(),
            [](const Url& a, const Url& b) { return a.text() < b.text(); });
  std::string advertised_text = Join(UrlTexts(advertised), ",");
  if (std::vector<std::string> missing = Missing(own->second, advertised); !missing.empty()) {
    for (std::string& url : missing) url = Cat(config.name, "=", url);
    return Invalid(Cat("--initial-cluster has ", Join(missing, ","),
                       " but missing from --initial-advertise-peer-urls=", advertised_text, " (",
                       Difference(advertised, own->second), ")"));
  }
  if (std::vector<std::string> missing = Missing(advertised, own->second); !missing.empty()) {
    return Invalid(Cat("--initial-advertise-peer-urls has ", Join(missing, ","),
                       " but missing from --initial-cluster=", Text({{config.name, advertised}})));
  }
  if (HasDuplicateUrl(cluster))
    return Invalid(Cat("initial cluster ", Text(cluster), " has duplicate url"));
  return OkStatus();
}

}  // namespace quoin::config
