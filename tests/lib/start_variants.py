"""How the world starts etcd: command lines, environments and files of the installers that people use, as data.

A variant holds what a person or a program hands over, and what must come of it:

    arguments, environment, file    as given; {dir} is a directory of the test's own, {ip} the machine's address, {name}
                                    its name. The file's path follows --config-file.
    serves                          where gRPC must answer
    pages                           a probe's URL → its status; None: that port speaks gRPC alone
    closed                          ports that stay closed
    says                            messages that the log must have
    refused                         (exit code, a part of standard error) instead of all that

Where the original speaks https the variant exists twice: as it is, which is refused in words as long as TLS is not built, and over
http, with the certificates' flags left in as etcd allows.
"""

IP, NAME = "10.99.0.1", "cp-1"
TLS_IS_REFUSED = (1, "TLS (--listen-client-urls=https://")


def over_http(variant):
    """The same over http: what else it asks for must work."""
    def plain(value):
        if isinstance(value, str):
            return value.replace("https://", "http://")
        if isinstance(value, list):
            return [plain(v) for v in value]
        return {k: plain(v) for k, v in value.items()}
    return dict(variant, name=variant["name"] + ", over http", refused=None,
                **{k: plain(variant[k]) for k in ("arguments", "environment", "file") if k in variant})


def both(variant):
    return [dict(variant, refused=variant.get("refused", TLS_IS_REFUSED)), over_http(variant)]


# ---- kubeadm: a static pod; the probes go to the metrics port ----

def kubeadm(versions, *own):
    certificates = ["--cert-file={dir}/pki/server.crt", "--key-file={dir}/pki/server.key", "--client-cert-auth=true",
                    "--trusted-ca-file={dir}/pki/ca.crt", "--peer-cert-file={dir}/pki/peer.crt",
                    "--peer-key-file={dir}/pki/peer.key", "--peer-client-cert-auth=true",
                    "--peer-trusted-ca-file={dir}/pki/ca.crt"]
    return {
        "name": "kubeadm " + versions,
        "arguments": ["--advertise-client-urls=https://{ip}:2379", "--data-dir={dir}/data",
                      "--initial-advertise-peer-urls=https://{ip}:2380", "--initial-cluster={name}=https://{ip}:2380",
                      "--listen-client-urls=https://127.0.0.1:2379,https://{ip}:2379",
                      "--listen-metrics-urls=http://127.0.0.1:2381", "--listen-peer-urls=https://{ip}:2380",
                      "--name={name}", *own] + certificates,
        "serves": ["127.0.0.1:2379", IP + ":2379"],
        "pages": {"127.0.0.1:2381/health?exclude=NOSPACE&serializable=true": 200, "127.0.0.1:2381/health?serializable=false": 200,
                  "127.0.0.1:2381/livez": 200, "127.0.0.1:2381/readyz": 200, "127.0.0.1:2381/metrics": 200},
        "closed": [IP + ":2381"],
        "says": ["scheme is http or unix while key and cert files are present; ignoring key and cert files"],
    }


EXPERIMENTAL = ["--experimental-initial-corrupt-check=true", "--experimental-watch-progress-notify-interval=5s"]
GATES = ["--feature-gates=InitialCorruptCheck=true", "--watch-progress-notify-interval=5s"]
old = kubeadm("1.28 to 1.33, for etcd 3.5", "--snapshot-count=10000", *EXPERIMENTAL)
KUBEADM = [
    # etcd 3.7 knows the names no more, and says so as Go's flag package does.
    dict(old, refused=(2, "flag provided but not defined: -experimental-initial-corrupt-check")),
    *both(kubeadm("1.34 and 1.35, for etcd 3.6", "--snapshot-count=10000", *GATES)),
    *both(kubeadm("1.36", *GATES)),
]


# ---- rke2 and k3s: a file that their server writes ----

def rancher(name, *lines):
    return {
        "name": name,
        "file": "\n".join([
            "advertise-client-urls: https://{ip}:2379", "client-transport-security:", "  cert-file: {dir}/tls/server-client.crt",
            "  client-cert-auth: true", "  key-file: {dir}/tls/server-client.key", "  trusted-ca-file: {dir}/tls/server-ca.crt",
            "data-dir: {dir}/db/etcd", "election-timeout: 5000", "heartbeat-interval: 500",
            "initial-advertise-peer-urls: https://{ip}:2380", "initial-cluster: {name}-5c1e=https://{ip}:2380",
            "initial-cluster-state: new", "listen-client-http-urls: https://127.0.0.1:2382",
            "listen-client-urls: https://127.0.0.1:2379,https://{ip}:2379", "listen-metrics-urls: http://127.0.0.1:2381",
            "listen-peer-urls: https://127.0.0.1:2380,https://{ip}:2380", "log-outputs:", "- stderr", "logger: zap",
            "name: {name}-5c1e", "peer-transport-security:", "  cert-file: {dir}/tls/peer-server-client.crt",
            "  client-cert-auth: true", "  key-file: {dir}/tls/peer-server-client.key",
            "  trusted-ca-file: {dir}/tls/peer-ca.crt", "snapshot-count: 10000", *lines, ""]),
        "serves": ["127.0.0.1:2379", IP + ":2379"],
        "pages": {"127.0.0.1:2381/health?serializable=true": 200, "127.0.0.1:2381/metrics": 200,
                  "127.0.0.1:2382/health": 200, "127.0.0.1:2382/version": 200, "127.0.0.1:2379/version": None},
        "closed": [IP + ":2381", IP + ":2382"],
    }


RANCHER = [*both(rancher("rke2 and k3s, up to 1.33", "experimental-initial-corrupt-check: true",
                         "experimental-watch-progress-notify-interval: 5000000000")),
           *both(rancher("rke2 and k3s, from 1.34", "feature-gates: InitialCorruptCheck=true",
                         "watch-progress-notify-interval: 5000000000"))]

# ---- images ----

BITNAMI = {
    "ALLOW_NONE_AUTHENTICATION": "yes", "BITNAMI_DEBUG": "false", "ETCD_ON_K8S": "no", "ETCD_NAME": "etcd1",
    "ETCD_DATA_DIR": "{dir}/data", "ETCD_LOG_LEVEL": "info", "ETCD_LISTEN_CLIENT_URLS": "http://0.0.0.0:2379",
    "ETCD_ADVERTISE_CLIENT_URLS": "http://etcd1:2379", "ETCD_LISTEN_PEER_URLS": "http://0.0.0.0:2380",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://etcd1:2380", "ETCD_INITIAL_CLUSTER": "etcd1=http://etcd1:2380",
    "ETCD_INITIAL_CLUSTER_TOKEN": "etcd-cluster", "ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_DISASTER_RECOVERY": "no",
    "ETCD_START_FROM_SNAPSHOT": "no", "ETCD_CLIENT_CERT_AUTH": "false", "ETCDCTL_API": "3"}
IMAGES = [
    {"name": "Bitnami's image, nobody logs in", "environment": BITNAMI, "serves": ["127.0.0.1:2379", IP + ":2379"],
     "pages": {"127.0.0.1:2379/health": 200}, "says": ["unrecognized environment variable"]},
    {"name": "Bitnami's chart, with its tokens",
     "environment": dict(BITNAMI, ETCD_AUTH_TOKEN="jwt,priv-key={dir}/jwt-token.pem,sign-method=RS256,ttl=10m"),
     "refused": (1, "--auth-token=jwt is not built")},
    {"name": "the official image, as its release notes start it",
     "arguments": ["--name", "s1", "--data-dir", "{dir}/etcd-data", "--listen-client-urls", "http://0.0.0.0:2379",
                   "--advertise-client-urls", "http://0.0.0.0:2379", "--listen-peer-urls", "http://0.0.0.0:2380",
                   "--initial-advertise-peer-urls", "http://0.0.0.0:2380", "--initial-cluster", "s1=http://0.0.0.0:2380",
                   "--initial-cluster-token", "tkn", "--initial-cluster-state", "new", "--log-level", "info", "--logger",
                   "zap", "--log-outputs", "stderr"],
     "serves": ["127.0.0.1:2379", IP + ":2379"], "pages": {"127.0.0.1:2379/metrics": 200}},
    {"name": "the official image without a word", "arguments": ["--data-dir", "{dir}/default.etcd"],
     "serves": ["127.0.0.1:2379"], "pages": {"127.0.0.1:2379/version": 200}, "closed": [IP + ":2379", IP + ":2380"]},
    {"name": "Milvus's compose file",
     "arguments": ["-advertise-client-urls=http://etcd:2379", "-listen-client-urls", "http://0.0.0.0:2379", "--data-dir",
                   "{dir}/etcd"],
     "environment": {"ETCD_AUTO_COMPACTION_MODE": "revision", "ETCD_AUTO_COMPACTION_RETENTION": "1000",
                     "ETCD_QUOTA_BACKEND_BYTES": "4294967296", "ETCD_SNAPSHOT_COUNT": "50000"},
     "serves": ["127.0.0.1:2379", IP + ":2379"], "pages": {"127.0.0.1:2379/health": 200}, "closed": [IP + ":2380"]},
]

# ---- distributions ----

KUBESPRAY = {
    "ETCD_DATA_DIR": "{dir}/etcd", "ETCD_ADVERTISE_CLIENT_URLS": "https://{ip}:2379",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS": "https://{ip}:2380", "ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_METRICS": "basic",
    "ETCD_LISTEN_CLIENT_URLS": "https://{ip}:2379,https://127.0.0.1:2379", "ETCD_ELECTION_TIMEOUT": "5000",
    "ETCD_HEARTBEAT_INTERVAL": "250", "ETCD_INITIAL_CLUSTER_TOKEN": "k8s_etcd", "ETCD_LISTEN_PEER_URLS": "https://{ip}:2380",
    "ETCD_NAME": "etcd1", "ETCD_PROXY": "off", "ETCD_INITIAL_CLUSTER": "etcd1=https://{ip}:2380",
    "ETCD_AUTO_COMPACTION_RETENTION": "8", "ETCD_SNAPSHOT_COUNT": "100000", "ETCD_QUOTA_BACKEND_BYTES": "2147483648",
    "ETCD_TRUSTED_CA_FILE": "{dir}/ssl/ca.pem", "ETCD_CERT_FILE": "{dir}/ssl/member.pem", "ETCD_KEY_FILE": "{dir}/ssl/member-key.pem",
    "ETCD_CLIENT_CERT_AUTH": "true", "ETCD_PEER_CLIENT_CERT_AUTH": "True", "ETCD_PEER_TRUSTED_CA_FILE": "{dir}/ssl/ca.pem",
    "ETCD_PEER_CERT_FILE": "{dir}/ssl/member.pem", "ETCD_PEER_KEY_FILE": "{dir}/ssl/member-key.pem",
    "ETCDCTL_ENDPOINTS": "https://127.0.0.1:2379"}
SAMPLE = "\n".join([
    "name: 'default'", "data-dir: {dir}/data", "wal-dir:", "snapshot-count: 10000", "heartbeat-interval: 100",
    "election-timeout: 1000", "quota-backend-bytes: 0", "listen-peer-urls: http://localhost:2380",
    "listen-client-urls: http://localhost:2379", "max-snapshots: 5", "max-wals: 5", "cors:",
    "initial-advertise-peer-urls: http://localhost:2380", "advertise-client-urls: http://localhost:2379", "discovery:",
    "discovery-fallback: 'proxy'", "discovery-proxy:", "discovery-srv:", "initial-cluster: {cluster}",
    "initial-cluster-token: 'etcd-cluster'", "initial-cluster-state: 'new'", "strict-reconfig-check: false",
    "enable-pprof: true", "client-transport-security:", "  cert-file:", "  key-file:", "  client-cert-auth: false",
    "  trusted-ca-file:", "  auto-tls: false", "peer-transport-security:", "  cert-file:", "  key-file:",
    "  client-cert-auth: false", "  trusted-ca-file:", "  auto-tls: false", "self-signed-cert-validity: 1", "log-level: debug",
    "logger: zap", "log-outputs: [stderr]", "force-new-cluster: false", "auto-compaction-mode: periodic",
    'auto-compaction-retention: "1"', "cipher-suites: [", "  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,",
    "  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "]", "tls-min-version: 'TLS1.2'", "tls-max-version: 'TLS1.3'", ""])
DISTRIBUTIONS = [
    *both({"name": "kubespray's environment file", "environment": KUBESPRAY, "serves": ["127.0.0.1:2379", IP + ":2379"],
           "closed": ["127.0.0.1:2380"], "says": ["unrecognized environment variable"]}),
    {"name": "Debian's unit, Type=notify", "environment": {"ETCD_DATA_DIR": "{dir}/default", "ETCD_NAME": "{name}"},
     "notify": "path", "serves": ["127.0.0.1:2379"]},
    {"name": "a unit whose socket is in the abstract namespace",
     "arguments": ["--name", "{name}", "--data-dir", "{dir}/etcd"], "notify": "abstract", "serves": ["127.0.0.1:2379"]},
    {"name": "etcd.conf.yml.sample with the cluster filled in",
     "file": SAMPLE.replace("{cluster}", "default=http://localhost:2380"), "serves": ["127.0.0.1:2379"],
     "pages": {"127.0.0.1:2379/health": 200}},
    {"name": "etcd.conf.yml.sample with another cluster",
     "file": SAMPLE.replace("{cluster}", "other=http://localhost:2380"),
     "refused": (1, "couldn't find local name \\\"default\\\" in the initial cluster configuration")},
    {"name": "a file and flags: the file alone counts", "file": "data-dir: {dir}/data\nname: of-the-file\n",
     "arguments": ["--name", "of-the-flag", "--listen-client-urls", "http://127.0.0.1:5000"], "serves": ["127.0.0.1:2379"],
     "closed": ["127.0.0.1:5000"]},
    {"name": "a flag and its variable", "arguments": ["--data-dir", "{dir}/a"], "environment": {"ETCD_DATA_DIR": "{dir}/b"},
     "refused": (1, "conflicting environment variable")},
    {"name": "no request is small enough: the member's own are", "arguments": ["--data-dir", "{dir}/data", "--max-request-bytes=0"],
     "serves": [], "pages": {"127.0.0.1:2379/health": 200, "127.0.0.1:2379/readyz": 200}},
    {"name": "an address that the machine has not",
     "arguments": ["--data-dir", "{dir}/data", "--listen-client-urls", "http://10.98.0.1:2379", "--advertise-client-urls",
                   "http://10.98.0.1:2379"],
     "refused": (1, "bind: cannot assign requested address")},
]

VARIANTS = KUBEADM + RANCHER + IMAGES + DISTRIBUTIONS
