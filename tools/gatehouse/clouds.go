package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// cloudName is our cloud's name in every clouds.yaml that we write.
const cloudName = "gatehouse"

// cloudsFile is a clouds.yaml, as far as we write it.
// See https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
type cloudsFile struct {
	Clouds map[string]cloud `yaml:"clouds"`
}

type cloud struct {
	Auth               cloudAuth `yaml:"auth"`
	RegionName         string    `yaml:"region_name"`
	Interface          string    `yaml:"interface"`
	IdentityAPIVersion int       `yaml:"identity_api_version"`
}

type cloudAuth struct {
	AuthURL           string `yaml:"auth_url"`
	Username          string `yaml:"username"`
	Password          string `yaml:"password"`
	ProjectName       string `yaml:"project_name"`
	UserDomainName    string `yaml:"user_domain_name"`
	ProjectDomainName string `yaml:"project_domain_name"`
}

// credentials keeps a user's clouds.yaml: it takes the password out of file,
// or makes one where there is no file yet, and writes the file with the
// cloud's present address. It returns the password.
func credentials(file, authURL, user, project string) (string, error) {
	c, err := readClouds(file)
	if err != nil {
		return "", err
	}
	own := c.Clouds[cloudName]
	if own.Auth.Password == "" {
		own = cloud{
			Auth: cloudAuth{
				Username: user, Password: rand.Text(), ProjectName: project,
				UserDomainName: "Default", ProjectDomainName: "Default",
			},
			RegionName: region, Interface: "public", IdentityAPIVersion: 3,
		}
	}
	own.Auth.AuthURL = authURL
	c.Clouds[cloudName] = own
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return own.Auth.Password, writeFile(file, text, 0o600)
}

// readClouds reads file; a missing one has no clouds.
func readClouds(file string) (cloudsFile, error) {
	c := cloudsFile{Clouds: map[string]cloud{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}
