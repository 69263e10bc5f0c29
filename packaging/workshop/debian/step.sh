#!/bin/sh
# Build smallstep's `step` and `step-ca` in the Debian root $1, from Debian's packages alone, and leave them in
# usr/local/bin there, linked statically. Run by mmdebstrap in a root that has Go and the libraries.
#
# Debian has most of the source of both as libraries, the rest in source packages, and no programs. What is deleted
# here cannot be built: Debian 12 has no certinfo, zlint and otp, and no clients of Google's and Azure's clouds and of
# Vault; and `step ca init` is older than the library that it calls. All else is smallstep's and Debian's, unchanged.
set -eu
root=$1
tree=$root/usr/share/gocode/src/github.com/smallstep
work=$(mktemp -d "$root/tmp/step.XXXXXX")

# Put the files that the library $1 leaves out of its source beside it.
complete() {
    (cd "$work" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG \
        apt-get source --quiet=2 --download-only --tar-only "golang-github-smallstep-$1")
    tar --extract --skip-old-files --strip-components=1 --directory="$tree/$1" \
        --file="$(ls "$work/golang-github-smallstep-$1"_*.orig.tar.*)"
}

# Build the program $2 of the library $1, with the library's version.
build() {
    version=$(chroot "$root" dpkg-query --show --showformat='${source:Upstream-Version}' "golang-github-smallstep-$1-dev")
    chroot "$root" env HOME="${work#"$root"}" GO111MODULE=off GOPATH=/usr/share/gocode CGO_ENABLED=0 \
        go build -trimpath -ldflags "-s -w -X main.Version=${version%+ds}" -o /usr/local/bin/ \
        "github.com/smallstep/$1/cmd/$2"
}

complete cli
complete certificates
(
    cd "$tree/cli/command"
    rm certificate/inspect*.go certificate/install*.go certificate/lint*.go ca/init*.go
    sed -i -E '/(inspect|install|uninstall|lint)Command\(\),/d' certificate/certificate.go
    sed -i '/initCommand(),/d' ca/ca.go
)
sed -i -E '\,cas/cloudcas|command/crypto",d' "$tree/cli/cmd/step/main.go"
sed -i -E '\,cas/(cloud|vault)cas|kms/(azure|cloud)kms,d' "$tree/certificates/cmd/step-ca/main.go"
build cli step
build certificates step-ca
rm -r "$work" "$root"/usr/share/gocode "$root"/usr/lib/go-* "$root"/usr/share/go-*
