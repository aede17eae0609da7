"""commweb: the communication subsystem of a learning platform, for any Flask site."""

from commweb.extension import CommWeb, Consequences, CourseStatus, MenuItem
from commweb.host import (
    DEFAULT,
    Course,
    CourseImage,
    Group,
    Host,
    Member,
    Permission,
    Person,
    Role,
)

__all__ = [
    "DEFAULT",
    "CommWeb",
    "Consequences",
    "Course",
    "CourseImage",
    "CourseStatus",
    "Group",
    "Host",
    "Member",
    "MenuItem",
    "Permission",
    "Person",
    "Role",
]
