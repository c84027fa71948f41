package registry

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

var versionName = regexp.MustCompile(`^v(\d{1,9})\.(\d{1,9})$`)

// Version is vMAJOR.MINOR. Versions of one major answer the same requests.
type Version struct{ Major, Minor int }

// ParseVersion reads a folder's name like "v1.0".
func ParseVersion(text string) (Version, bool) {
	match := versionName.FindStringSubmatch(text)
	if match == nil {
		return Version{}, false
	}
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return Version{major, minor}, true
}

// String returns for example "v1.0".
func (v Version) String() string { return fmt.Sprintf("v%d.%d", v.Major, v.Minor) }

func sortVersions(versions []Version) {
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
	})
}
