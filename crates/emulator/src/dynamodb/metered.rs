//! Executes `PutItem`, `BatchExecuteStatement` and `GetItem`, and counts the units that they consume. Other operations are
//! not metered.

use dynoxide::Database;
use dynoxide::actions::batch_execute_statement::{BatchExecuteStatementRequest, BatchExecuteStatementResponse};
use dynoxide::actions::get_item::{GetItemRequest, GetItemResponse};
use dynoxide::actions::put_item::{PutItemRequest, PutItemResponse};
use dynoxide::errors::DynoxideError;
use dynoxide::types::{item_size, write_capacity_units};

use crate::meter::Meter;

/// Executes a `PutItem` and counts its write units. DynamoDB bills the larger of the old and the new item, even if the
/// condition fails ("Read and write operations" in its developer guide). If the condition fails, this function knows
/// the old item's size only if the request asked for the old item. Otherwise, it counts the new item's size.
pub(crate) fn put_item(
    meter: &Meter,
    database: &Database,
    mut request: PutItemRequest,
) -> Result<PutItemResponse, DynoxideError> {
    let new_bytes = item_size(&request.item);
    let is_capacity_requested = request.return_consumed_capacity.is_some();
    request.return_consumed_capacity.get_or_insert_with(|| "TOTAL".to_owned());
    let mut answer = database.put_item(request);
    match &mut answer {
        Ok(response) => {
            let consumed = response.consumed_capacity.as_ref().map(|capacity| capacity.capacity_units);
            meter.write(consumed.unwrap_or_else(|| write_capacity_units(new_bytes)), false);
            response.consumed_capacity.take_if(|_| !is_capacity_requested);
        }
        Err(DynoxideError::ConditionalCheckFailedException(_, old)) => {
            let old_bytes = old.as_ref().map_or(0, item_size);
            meter.write(write_capacity_units(new_bytes.max(old_bytes)), true);
        }
        Err(_) => {}
    }
    answer
}

/// Executes a `GetItem` and counts its read units. DynamoDB bills the size of the whole item, even if the request asks for
/// some attributes only ("Read and write operations" in its developer guide).
pub(crate) fn get_item(
    meter: &Meter,
    database: &Database,
    mut request: GetItemRequest,
) -> Result<GetItemResponse, DynoxideError> {
    let is_capacity_requested = request.return_consumed_capacity.is_some();
    request.return_consumed_capacity.get_or_insert_with(|| "TOTAL".to_owned());
    let mut response = database.get_item(request)?;
    if let Some(consumed) = &response.consumed_capacity {
        meter.read(consumed.capacity_units);
    }
    response.consumed_capacity.take_if(|_| !is_capacity_requested);
    Ok(response)
}

/// Executes a `BatchExecuteStatement` of INSERTs and counts the write units of each statement, including statements
/// that fail.
pub(crate) fn batch_execute_statement(
    meter: &Meter,
    database: &Database,
    request: BatchExecuteStatementRequest,
) -> Result<BatchExecuteStatementResponse, DynoxideError> {
    // The size of an INSERT's item is the size of all names and texts that the statement quotes, plus the size of its
    // parameters.
    let quoted = |statement: &str| statement.split('\'').skip(1).step_by(2).map(str::len).sum::<usize>();
    let units = request.statements.iter().map(|member| {
        let parameters = member.parameters.iter().flatten().map(|parameter| parameter.size()).sum::<usize>();
        write_capacity_units(quoted(&member.statement) + parameters)
    });
    let units: Vec<f64> = units.collect();
    let response = database.batch_execute_statement(request)?;
    for (units, member) in units.into_iter().zip(&response.responses) {
        meter.write(units, member.error.is_some());
    }
    Ok(response)
}
