"""From a connection, a kubeconfig or the pod around us to a server and credentials; what is said where that fails."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.clients.kube_config import KubeconfigError, parse, pick
from asyncrun.clients.kube_resolving import Fixed, Plugin, ResolvedKube, TokenFile, kube_hash, resolve_kube
from asyncrun.clients.kube_tls import proxy_for
from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.refs import KubeTarget
from tests.clients.kube.certificates import authority, b64, client_certificate
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import TARGET

URL = "https://k8s.example.com"
SECRET = "secret-word-9"


def resolved(target: KubeTarget = TARGET, known: str | None = None) -> ResolvedKube:
    found = resolve_kube(target, known)
    assert found is not None
    return found


def refused(target: KubeTarget = TARGET) -> str:
    with pytest.raises(CredentialsExpired) as caught:
        resolve_kube(target)
    cause: BaseException | None = caught.value
    while cause is not None:
        assert SECRET not in str(cause)
        assert SECRET not in repr(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return str(caught.value)


@pytest.fixture
def pod_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files and variables of a pod with a service account."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("token-of-the-pod\n")
    (folder / "ca.crt").write_bytes(authority())
    (folder / "namespace").write_text("airflow\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return folder


def write(path: Path, document: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


@pytest.mark.parametrize("prefix", ["", "extra__kubernetes__"])
@pytest.mark.parametrize("as_text", [False, True])
def test_kube_config_of_a_connection_with_all_other_fields(connect: Connect, prefix: str, as_text: bool) -> None:
    config: Any = kubeconfig(URL + "/k8s/clusters/c-1/", {"token": "of-the-connection"})
    fields = {
        "kube_config": json.dumps(config) if as_text else config,
        "namespace": "jobs",
        "disable_verify_ssl": True,
        "disable_tcp_keepalive": "True",
        "xcom_sidecar_container_image": "alpine:3",
        "xcom_sidecar_container_resources": '{"requests": {"cpu": "1m"}}',
        "xcom_sidecar_container_security_context": {"runAsUser": 1},
        "in_cluster": False,
        "kube_config_path": "",
    }
    connect(**{prefix + name: value for name, value in fields.items()})
    found = resolved()
    assert found.server == URL + "/k8s/clusters/c-1"
    assert found.source == Fixed("Bearer of-the-connection")
    assert (found.namespace, found.tls.verify, found.keepalive, found.in_cluster) == ("jobs", False, False, False)
    assert (found.sidecar.image, found.sidecar.resources, found.sidecar.security_context) == (
        "alpine:3", {"requests": {"cpu": "1m"}}, {"runAsUser": 1}
    )  # fmt: skip
    assert found.identity == "of Airflow connection 'kube_test' (context 'test')"


def test_unprefixed_field_counts_before_the_prefixed_one(connect: Connect) -> None:
    connect(kube_config=kubeconfig(URL), namespace="new", extra__kubernetes__namespace="old")
    assert resolved().namespace == "new"


def test_yaml_text_of_a_kube_config(connect: Connect) -> None:
    connect(kube_config="current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n"
                        "clusters: [{name: b, cluster: {server: 'http://127.0.0.1:8001'}}]\n")  # fmt: skip
    found = resolved()
    assert (found.server, found.context, found.source) == ("http://127.0.0.1:8001", None, Fixed(None))


def test_operators_arguments_count_before_the_connections_fields(connect: Connect, tmp_path: Path) -> None:
    two = kubeconfig(URL)
    two["contexts"].append({"name": "other", "context": {"cluster": "d"}})
    two["clusters"].append({"name": "d", "cluster": {"server": "https://other"}})
    connect(kube_config_path="/nowhere", cluster_context="test")
    target = KubeTarget(conn_id="kube_test", config_file=write(tmp_path / "config", two), cluster_context="other")
    assert resolved(target).server == "https://other"


def test_in_cluster(connect: Connect, pod_around: Path) -> None:
    connect(in_cluster=True)
    found = resolved()
    assert (found.server, found.source, found.in_cluster) == (
        "https://[fd00::1]:6443",
        TokenFile(pod_around / "token"),
        True,
    )
    assert (found.own_namespace, found.namespace) == ("airflow", None)
    assert found.tls.ca == authority()


def test_without_any_choice_it_is_the_pod_around_and_else_the_default_kubeconfig(
    connect: Connect, pod_around: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".kube" / "config", kubeconfig("https://home"))
    connect()
    assert resolved().in_cluster
    assert resolved(KubeTarget(conn_id="kube_test", in_cluster=False)).server == "https://home"
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert resolved().server == "https://home"
    assert resolved().own_namespace == "airflow"


def test_kubeconfig_variable_names_several_files_and_the_first_that_has_something_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = write(tmp_path / "a" / "1", {"users": [{"name": "u", "user": {"tokenFile": "token"}}], "clusters": None})
    second = write(tmp_path / "b" / "2", kubeconfig(URL))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([first, str(tmp_path / "missing"), "", second]))
    found = resolved(KubeTarget(conn_id=None))
    assert (found.server, found.source) == (URL, TokenFile(tmp_path / "a" / "token"))
    assert found.steward == f"whoever manages kubeconfig {first!r}, {second!r}"


def test_missing_default_connection_is_no_connection_and_another_missing_one_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".kube" / "config", kubeconfig(URL))
    assert (resolved(KubeTarget()).server, resolved(KubeTarget()).found) == (URL, False)
    assert refused(KubeTarget(conn_id="no_such")) == (
        "There is no Airflow connection 'no_such': whoever manages connections must create it, or the operator must "
        "name another one in kubernetes_conn_id."
    )


def test_nothing_that_names_a_cluster(connect: Connect) -> None:
    assert refused(KubeTarget(conn_id=None)) == (
        "No way leads to Kubernetes: no connection names a cluster, this process runs in no pod with a service "
        "account, and there is no kubeconfig in KUBECONFIG or ~/.kube/config. Whoever runs Airflow must correct it."
    )


USER = {"token": SECRET, "password": SECRET}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"in_cluster": True, "kube_config": kubeconfig(URL, USER)},
         "only one of in_cluster, kube_config_path (config_file) and kube_config can be given"),
        ({"in_cluster": True}, "in_cluster is set, but this process runs in no pod with a service account token"),
        ({"in_cluster": "perhaps"}, "its field in_cluster is neither true nor false"),
        ({"kube_config": f"a: ]{SECRET}"}, "kube_config is neither YAML nor JSON (line 1)"),
        ({"kube_config": SECRET}, "kube_config holds no kubeconfig"),
        ({"kube_config": kubeconfig(URL, USER), "cluster_context": "prod"}, "it has no context 'prod'"),
        ({"kube_config": {**kubeconfig(URL, USER), "current-context": ""}},
         "it has no current-context, and none is named"),
        ({"kube_config": {**kubeconfig(URL), "users": [{"name": "v", "user": USER}]}}, "it has no user 'u'"),
        ({"kube_config": {**kubeconfig(URL), "clusters": SECRET}}, "it has no cluster 'c'"),
        ({"kube_config": kubeconfig(URL, {**USER, "token": [SECRET]})},
         "user 'u' is malformed: Expected `str | null`, got `array` - at `$.token`"),
        ({"kube_config": kubeconfig(URL, {**USER, "exec": {"args": [SECRET]}})},
         "user 'u' is malformed: Object missing required field `command` - at `$.exec`"),
        ({"kube_config": kubeconfig(URL, {**USER, "auth-provider": {"name": "gcp", "config": {"x": SECRET}}})},
         "its user has the auth-provider 'gcp', which Kubernetes removed: an exec plug-in must take its place "
         "(users[].user.exec)"),
        ({"kube_config": kubeconfig(URL, {"token": SECRET + "\nX-More: header"})},
         "the token is empty, or has characters that a token cannot have"),
        ({"kube_config": kubeconfig(URL, {"client-certificate-data": b64(SECRET.encode())})},
         "its user has a client certificate without a key, or a key without a certificate"),
        ({"kube_config": kubeconfig(URL, {"client-certificate-data": b64(SECRET.encode()),
                                          "client-key-data": b64(SECRET.encode())})},
         "the client certificate and its key cannot be used (PEM, unencrypted)"),
        ({"kube_config": kubeconfig(URL, USER, **{"certificate-authority-data": b64(SECRET.encode())})},
         "the certificate authority is not a certificate (PEM)"),
        ({"kube_config": kubeconfig(URL, USER, **{"certificate-authority-data": "*" + SECRET})},
         "certificate-authority-data is not base64"),
        ({"kube_config": kubeconfig(URL, USER, **{"certificate-authority": "/no/such"})},
         "certificate-authority '/no/such' cannot be read (No such file or directory)"),
        ({"kube_config": kubeconfig(URL, USER, **{"proxy-url": f"socks5://u:{SECRET}@p"})},
         "its cluster's proxy-url is no HTTP proxy, and others are not supported"),
        ({"kube_config": kubeconfig(f"https://u:{SECRET}@host")}, "its cluster's server is no URL"),
        ({"kube_config": kubeconfig("https://host:port")}, "its cluster's server is no URL"),
        ({"kube_config": kubeconfig("")}, "its cluster has no server"),
        ({"kube_config_path": "/no/such/config"}, "file '/no/such/config' cannot be read (No such file or directory)"),
        ({"kube_config": kubeconfig(URL), "xcom_sidecar_container_resources": f"{{{SECRET}"},
         "its field xcom_sidecar_container_resources is no JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_without_secrets(connect: Connect, fields: dict[str, Any], message: str) -> None:
    connect(**fields)
    assert refused() == (
        f"Airflow connection 'kube_test' cannot be used for Kubernetes: {message}. Whoever manages Airflow connection "
        "'kube_test' must correct it."
    )


def test_credentials_of_every_kind(connect: Connect) -> None:
    certificate = client_certificate("jane")
    user = {
        "username": "jane", "password": SECRET, "as": "joe", "as-groups": ["a", "b"],
        "client-certificate-data": b64(certificate.certificate), "client-key-data": b64(certificate.key),
    }  # fmt: skip
    connect(kube_config=kubeconfig("k8s", user, **{"tls-server-name": "inner", "insecure-skip-tls-verify": True}))
    found = resolved()
    assert found.source == Fixed("Basic " + base64.b64encode(f"jane:{SECRET}".encode()).decode())
    assert found.tls.certificate == certificate
    assert (found.server, found.tls.server_name, found.tls.verify) == ("https://k8s", "inner", False)
    assert found.impersonated == (("Impersonate-User", "joe"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    for one in (found, found.source, found.tls, found.tls.certificate):
        assert SECRET not in repr(one)


def test_cluster_info_for_a_plugin_that_wants_it(connect: Connect) -> None:
    exec_ = {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1", "provideClusterInfo": True}
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    connect(kube_config=kubeconfig(URL, {"exec": exec_}, **{
        "certificate-authority-data": b64(authority()), "tls-server-name": "inner",
        "extensions": [extension]}))  # fmt: skip
    source = resolved().source
    assert isinstance(source, Plugin)
    assert source.cluster == {
        "server": URL, "tls-server-name": "inner", "certificate-authority-data": b64(authority()),
        "config": {"audience": "a"},
    }  # fmt: skip


def test_fingerprint_is_that_of_what_counts_and_of_the_files_too(connect: Connect, tmp_path: Path) -> None:
    path = write(tmp_path / "config", kubeconfig(URL))
    connect(kube_config_path=path)
    known = resolved().fingerprint
    assert resolve_kube(TARGET, known) is None
    write(tmp_path / "config", kubeconfig(URL, {"token": "another-one"}))
    assert resolved(known=known).fingerprint != known
    assert "another-one" not in resolved().fingerprint


def test_fingerprint_is_that_of_every_part_of_a_plugin_too(connect: Connect) -> None:
    exec_: dict[str, Any] = {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1"}
    found = set()
    for more in ({}, {"args": ["a"]}, {"args": ["b"]}, {"env": [{"name": "a", "value": "b"}]}, {"command": "other"}):
        connect(kube_config=kubeconfig(URL, {"exec": exec_ | more}))
        found.add(resolved().fingerprint)
    assert len(found) == 5


@pytest.mark.parametrize("extra", ["{", "[1]", f'"{SECRET}"'])
def test_extra_that_is_no_json_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, pod_around: Path, extra: str
) -> None:
    described = {"conn_type": "kubernetes", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_KUBE_TEST", json.dumps(described))
    assert refused() == (
        "The extra of Airflow connection 'kube_test' is no JSON object: whoever manages it must correct it."
    )


def test_equal_targets_have_equal_hashes_and_others_have_not() -> None:
    targets = [KubeTarget(), KubeTarget(conn_id=None), KubeTarget(in_cluster=True), KubeTarget(config_file="a"),
               KubeTarget(cluster_context="a")]  # fmt: skip
    assert len({kube_hash(one) for one in targets}) == len(targets)
    assert kube_hash(KubeTarget()) == kube_hash(KubeTarget())


@given(st.text())
def test_whatever_text_a_kube_config_is_it_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(KubeconfigError):
        pick([(parse(text, "it"), Path())], None)


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxy"),
    [
        ("https://k8s.example.com", "", "http://proxy:3128"),
        ("http://k8s.example.com", "", None),
        ("https://k8s.example.com", "example.com", None),
        ("https://k8s.example.com:6443", ".example.com:6443", None),
        ("https://k8s.example.com", "ample.com", "http://proxy:3128"),
        ("https://10.1.2.3", "10.0.0.0/8, other", None),
        ("https://11.1.2.3", "10.0.0.0/8", "http://proxy:3128"),
        ("https://127.0.0.1", "", None),
        ("https://localhost", "", None),
        ("https://any", "*", None),
        ("https://any:6443", "*:6443", None),
        ("https://10.0.0.1:6443", "10.0.0.1:6443", None),
        ("https://10.0.0.1:6443", "10.0.0.1:443", "http://proxy:3128"),
        ("https://10.0.0.1", "10.0.0.1:443", None),
        ("https://10.0.0.1:6443", "10.0.0.1", None),
        ("https://k8s.example.com", "example.com:6443", "http://proxy:3128"),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", None),
        ("https://[fd00::1]:6443", "fd00::1", None),
        ("https://[fd00::1]:6443", "[fd00::1]", None),
        ("https://[fd00::1]:6443", "[fd00::1]:443", "http://proxy:3128"),
        ("https://k8s.example.com", ".,:443,*.", "http://proxy:3128"),
    ],
)
def test_proxy_of_the_environment(url: str, no_proxy: str, proxy: str | None) -> None:
    assert proxy_for(url, {"https_proxy": "proxy:3128", "NO_PROXY": no_proxy}) == proxy


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_proxy_of_the_environment_that_is_none_of_ours_is_refused_without_its_password(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"socks5://user:{SECRET}@127.0.0.1:1080")
    connect(kube_config=kubeconfig("https://10.0.0.1:6443"))
    assert refused() == (
        f"Airflow connection 'kube_test' cannot be used for Kubernetes: the variable {name} of the environment names "
        "no HTTP proxy, and others are not supported (NO_PROXY may except the API server). Whoever runs Airflow must "
        "correct it."
    )
    monkeypatch.setenv("NO_PROXY", "10.0.0.1:6443")
    assert resolved().proxy is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_authorities_with_names_in_any_encoding_between_them_are_read(connect: Connect, encoding: str) -> None:
    text = "# Zertifizierungsstelle f\u00fcr Entwicklung\n".encode(encoding) + authority() + b"\n\xff\xfe" + authority()
    connect(kube_config=kubeconfig(URL, **{"certificate-authority-data": b64(text)}))
    assert len(resolved().context.get_ca_certs()) == 1


@pytest.mark.parametrize("text", [b"no certificate", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                                  b"-----BEGIN CERTIFICATE-----\nf\xfcr\n-----END CERTIFICATE-----\n"])  # fmt: skip
def test_authority_without_a_certificate_does_not_mean_the_systems(connect: Connect, text: bytes) -> None:
    connect(kube_config=kubeconfig(URL, **{"certificate-authority-data": b64(text)}))
    assert "the certificate authority is not a certificate (PEM)" in refused()
