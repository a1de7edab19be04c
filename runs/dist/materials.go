package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The parts of CycloneDX 1.6 that are written.
type (
	billJSON struct {
		Format       string           `json:"bomFormat"`
		SpecVersion  string           `json:"specVersion"`
		SerialNumber string           `json:"serialNumber"`
		Version      int              `json:"version"`
		Metadata     metadataJSON     `json:"metadata"`
		Components   []componentJSON  `json:"components"`
		Dependencies []dependencyJSON `json:"dependencies"`
	}
	metadataJSON struct {
		Component componentJSON `json:"component"`
	}
	componentJSON struct {
		Ref         string         `json:"bom-ref"`
		Type        string         `json:"type"`
		Name        string         `json:"name"`
		Version     string         `json:"version,omitempty"`
		Description string         `json:"description,omitempty"`
		Hashes      []hashJSON     `json:"hashes,omitempty"`
		Licences    []licenceJSON  `json:"licenses"`
		PURL        string         `json:"purl,omitempty"`
		Properties  []propertyJSON `json:"properties,omitempty"`
	}
	hashJSON struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licenceJSON struct {
		Licence struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	propertyJSON struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependencyJSON struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// materials writes the bill of materials of a binary: CycloneDX 1.6 in JSON.
func materials(parts []part, info *buildinfo.BuildInfo, version string, binary []byte) ([]byte, error) {
	sum := sha256.Sum256(binary)
	sums := map[string]string{}
	for _, d := range info.Deps {
		sums[d.Path] = d.Sum
	}
	id := sum
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8, whose bits are free
	bill := billJSON{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		SerialNumber: fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16]),
	}
	refs := map[string]string{}
	for _, p := range parts {
		refs[p.name] = ref(p, info, version)
	}
	var data []string
	for _, p := range parts {
		c := componentJSON{Ref: refs[p.name], Type: "library", Name: p.name, Version: p.version, Description: p.about}
		for _, licence := range p.licences {
			var l licenceJSON
			l.Licence.ID = licence
			c.Licences = append(c.Licences, l)
		}
		d := dependencyJSON{Ref: c.Ref}
		for _, n := range p.needs {
			d.DependsOn = append(d.DependsOn, refs[n])
		}
		switch {
		case p.name == info.Main.Path:
			c.Type, c.Version, c.PURL = "application", version, c.Ref
			c.Hashes = []hashJSON{{"SHA-256", hex.EncodeToString(sum[:])}}
			for _, key := range []string{"GOOS", "GOARCH"} {
				c.Properties = append(c.Properties, propertyJSON{"carrot:" + key, setting(info, key)})
			}
			bill.Metadata.Component = c
			bill.Dependencies = append(bill.Dependencies, d)
			continue
		case p.module:
			c.PURL = c.Ref
			c.Properties = []propertyJSON{{"carrot:go.sum", sums[p.name]}}
		case p.name == "std":
			c.PURL = c.Ref
		default:
			c.Type = "data"
			data = append(data, c.Ref)
		}
		bill.Components = append(bill.Components, c)
		bill.Dependencies = append(bill.Dependencies, d)
	}
	for i := range bill.Dependencies {
		if d := &bill.Dependencies[i]; d.Ref == bill.Metadata.Component.Ref {
			d.DependsOn = append(d.DependsOn, data...)
		}
	}
	b, err := json.MarshalIndent(bill, "", "  ")
	return append(b, '\n'), err
}

// ref is the package URL of a module, or a name for data.
func ref(p part, info *buildinfo.BuildInfo, version string) string {
	switch {
	case p.name == info.Main.Path:
		return purl(p.name, version)
	case p.module || p.name == "std":
		return purl(p.name, p.version)
	}
	return "data:" + p.name
}

func purl(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + url.PathEscape(version)
}
