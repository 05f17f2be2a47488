// Fills in a chart's templates as Helm does: Go's text/template, sprig's functions and toYaml. Debian has the
// libraries: golang-github-masterminds-sprig-dev, golang-k8s-sigs-yaml-dev.
//
//	render CHART VALUES RELEASE: the texts of all templates in order of their names, each after a line "# NAME"
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	check(err)
	values := map[string]interface{}{}
	check(yaml.Unmarshal(text, &values))
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = func(value interface{}) string {
		made, err := yaml.Marshal(value)
		check(err)
		return strings.TrimSuffix(string(made), "\n")
	}
	top := map[string]interface{}{
		"Values":  values,
		"Release": map[string]interface{}{"Name": os.Args[3]},
	}
	names, err := filepath.Glob(os.Args[1] + "/templates/*.yaml")
	check(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err)
		made, err := template.New(name).Option("missingkey=zero").Funcs(functions).Parse(string(text))
		check(err)
		fmt.Printf("# %s\n", filepath.Base(name))
		check(made.Execute(os.Stdout, top))
	}
}
